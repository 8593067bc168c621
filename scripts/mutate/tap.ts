/** Stands in for tap while mutants are tried: runs the same tests in this process, ends at the first assertion that fails. */
import assert from 'node:assert/strict';

type Body = (t: Assertions) => void | Promise<void>;

const tests: Body[] = [];

class Assertions {
  test(_name: string, body: Body): void {
    tests.push(body);
  }

  equal(actual: unknown, expected: unknown): void {
    if (!Object.is(actual, expected)) assert.fail();
  }

  same(actual: unknown, expected: unknown): void {
    assert.deepEqual(actual, expected);
  }

  match(actual: object, expected: object): void {
    assert.partialDeepStrictEqual(actual, expected);
  }

  ok(actual: unknown): void {
    if (!actual) assert.fail();
  }

  notOk(actual: unknown): void {
    if (actual) assert.fail();
  }

  pass(): void {}

  fail(): void {
    assert.fail();
  }
}

const assertions = new Assertions();
export default assertions;

/** Runs what was registered since the last time; throws what the first failing one threw. */
export async function runTests(): Promise<void> {
  for (const body of tests.splice(0)) await body(assertions);
}

export function forgetTests(): void {
  tests.length = 0;
}
