/** The tests of the wire once more, with the general engine alone: what they show holds for both, and what they cover of either counts. */
process.env['ENGINE'] = 'general';
await import('./connection.test.ts');
await import('./drain.test.ts');
await import('./engine.test.ts');
await import('./rfc.test.ts');
await import('./tunnel.test.ts');
await import('./upstream.test.ts');
