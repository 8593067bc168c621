/** Batches through one compressor: whole frames, in order, and an end that nobody waits behind for ever. */
import { zstdDecompressSync } from 'node:zlib';
import fc from 'fast-check';
import t from 'tap';
import { Compressor } from '../../src/metering/compressor.ts';

const packed = (compressor: Compressor, payload: Buffer): Promise<Buffer | undefined> =>
  new Promise((resolve) => compressor.pack(payload, resolve));

t.test('each payload is one frame that anybody unpacks, in the order they came', async (t) => {
  const compressor = new Compressor();
  const pieces = fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(pieces, async (payloads) => {
      const frames = await Promise.all(payloads.map((each) => packed(compressor, Buffer.from(each))));
      return frames.every((frame, at) => zstdDecompressSync(frame as Buffer).equals(payloads[at] as Uint8Array));
    }),
    { numRuns: 50 },
  );
  // Larger than the window, and than what a stream hands out at once.
  const large = Buffer.from(Array.from({ length: 900_000 }, (_, at) => (at * at * 31) % 251));
  const frame = (await packed(compressor, large)) as Buffer;
  t.ok(zstdDecompressSync(frame, { maxOutputLength: large.length }).equals(large));
  t.ok(frame.length < large.length / 2);
  compressor.close();
});

t.test('who is closed calls back all the same, and begins anew', async (t) => {
  const compressor = new Compressor();
  const waiting = [packed(compressor, Buffer.from('a')), packed(compressor, Buffer.from('b'))];
  compressor.close();
  t.same(await Promise.all(waiting), [undefined, undefined]);
  const again = (await packed(compressor, Buffer.from('c'))) as Buffer;
  t.equal(zstdDecompressSync(again).toString(), 'c');
  t.equal(again.readUInt32LE(0), 0xfd2fb528, 'a frame of zstd from its first byte');
  compressor.close();
});
