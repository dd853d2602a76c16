/**
 * A reporter of Node's test runner: the files in which a test failed, a line
 * each. `scripts/test` runs these once more.
 */
export default async function* failedFiles(events) {
  const files = new Set();
  for await (const { type, data } of events) {
    const file = data?.file ?? data?.name;
    if (type !== "test:fail" || files.has(file)) continue;
    files.add(file);
    yield `${file}\n`;
  }
}
