/**
 * One process writes a directory. Its file `lock` says which: `PID FD`. It counts only while that process has that very file open, which
 * /proc shows; so what a killed process left is no lock, whoever has its number now.
 *
 * Accuracy: a process in another PID namespace (another container on the same volume) is not seen, nor is any where there is no /proc: for these
 * there are claims (`claim.ts`), of whoever opens a log.
 */
import { closeSync, fstatSync, openSync, readFileSync, rmSync, type Stats, statSync, writeSync } from 'node:fs';

export function lock(path: string): (() => void) | undefined {
  if (isLocked(path)) return undefined;
  rmSync(path, { force: true });
  const file = openSync(path, 'wx', 0o600);
  writeSync(file, `${process.pid} ${file}\n`);
  return () => {
    // Whoever took the directory meanwhile has a file of its own there.
    const isOurs = statSync(path, { throwIfNoEntry: false })?.ino === fstatSync(file).ino;
    closeSync(file);
    if (isOurs) rmSync(path, { force: true });
  };
}

export function isLocked(path: string): boolean {
  const lockFile = statSync(path, { throwIfNoEntry: false });
  if (lockFile === undefined) return false;
  const [, pid, file] = /^(\d{1,10}) (\d{1,10})\n$/.exec(readFileSync(path, 'latin1')) ?? [];
  const held = pid === undefined ? undefined : openFile(pid, file as string);
  return held !== undefined && held.ino === lockFile.ino && held.dev === lockFile.dev;
}

/** What a process has open under a number. */
function openFile(pid: string, file: string): Stats | undefined {
  if (Number(pid) === process.pid) return ownFile(Number(file));
  try {
    return statSync(`/proc/${pid}/fd/${file}`);
  } catch {
    return undefined;
  }
}

function ownFile(file: number): Stats | undefined {
  try {
    return fstatSync(file);
  } catch {
    return undefined;
  }
}
