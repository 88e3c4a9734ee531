// A reporter for Node's test runner: writes the paths of files with failed tests, one per line.
import { fileURLToPath } from 'node:url';

export default async function* failedFiles(events) {
  const files = new Set();
  for await (const { type, data } of events) {
    if (type !== 'test:fail' || data.todo || data.skip || !data.file) continue;
    const file = data.file.startsWith('file:') ? fileURLToPath(data.file) : data.file;
    if (files.has(file)) continue;
    files.add(file);
    yield `${file}\n`;
  }
}
