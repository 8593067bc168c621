/** Several files of tests in one process, one after the other; a line before the tests of each names it. */
import { pathToFileURL } from 'node:url';
import t from 'tap';

const tests = [];
const { test } = t;
t.test = (...words) => {
  const end = test.apply(t, words);
  tests.push(end);
  return end;
};
for (const path of process.argv.slice(2)) {
  t.comment(`file ${path}`);
  await import(pathToFileURL(path).href);
  await Promise.all(tests.splice(0));
}
