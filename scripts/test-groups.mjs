// Groups test files into processes. Loading the gateway costs more CPU time than most files take, so small files share a
// process; a file that takes long, or that changes or measures its process, has one of its own. The longest start first,
// so that none runs alone at the end.
import { readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** These wait in real time and use little CPU time: one after the other in one process, beside all others. */
const waiting = ['test/e2e/story.test.ts', 'test/e2e/long-calls.test.ts'];

/** Each has a process of its own. Ordered by time. */
const alone = [
  'test/heavy/package.test.ts',
  'test/e2e/native-crash.test.ts',
  'test/heavy/batch.test.ts',
  'test/heavy/deploy.test.ts',
  'test/heavy/event-loop.test.ts',
  'test/e2e/large-bodies.test.ts',
  'test/e2e/slow-caller.test.ts',
  'test/e2e/chaos.test.ts',
  'test/simulation/mutations.test.ts',
  'test/redis/batch-fleet.test.ts',
  'test/simulation/random-refusals.test.ts',
  'test/simulation/choosing.test.ts',
  'test/e2e/batch-crash.test.ts',
  'test/e2e/stream-replay.test.ts',
  'test/simulation/seeds.test.ts',
  'test/e2e/batches.test.ts',
  'test/e2e/every-fault.test.ts',
  'test/docs.test.ts',
  'test/simulation/overload.test.ts',
  'test/simulation/bad-days.test.ts',
  'test/simulation/shares.test.ts',
  'test/simulation/outage.test.ts',
  'test/dashboard/dashboard.test.ts',
  'test/simulation/dialects.test.ts',
  'test/simulation/blame.test.ts',
  'test/simulation/batches.test.ts',
  'test/simulation/serial-prefill.test.ts',
  'test/simulation/learning.test.ts',
  'test/simulation/hedging.test.ts',
  'test/simulation/fleet.test.ts',
  'test/simulation/jobs.test.ts',
  'test/simulation/mixture.test.ts',
  'test/simulation/agreement.test.ts',
  'test/e2e/poison.test.ts',
  'test/e2e/batch-command.test.ts',
  'test/e2e/large-answers.test.ts',
  'test/e2e/continuation.test.ts',
  'test/e2e/background-crash.test.ts',
  'test/e2e/listening.test.ts',
  'test/e2e/clouds.test.ts',
  'test/e2e/native-batches.test.ts',
  'src/cli/simulate.test.ts',
  'test/e2e/message-batches.test.ts',
  'test/e2e/no-leaks.test.ts',
  'test/heavy/llama.test.ts',
  'test/heavy/transformers.test.ts',
  'test/examples/newsletter.test.ts',
  'test/examples/ci.test.ts',
  'test/e2e/disconnect.test.ts',
  'test/tidy.test.ts',
  'test/scripts/run.test.ts',
];

/** Files that are not grouped by their folder. */
export const named = [...waiting, ...alone];

/** Files below a folder share this many processes; the folder of a file is the first that fits. */
const folders = [
  ['test/e2e/', 8],
  ['test/redis/', 2],
  ['src/', 6],
  ['dashboard/src/', 1],
  ['test/', 3],
];

/** A group per process, in the order in which they start. */
export function groupsOf(files) {
  const left = new Set(files);
  const take = (names) => names.filter((name) => left.delete(name));
  const groups = [take(waiting), ...alone.map((name) => take([name]))];
  for (const [folder, count] of folders) {
    const members = take([...left].filter((name) => name.startsWith(folder)));
    // Neighbours cost about the same, so each process gets every nth file.
    for (let first = 0; first < count; first++) groups.push(members.filter((_, i) => i % count === first));
  }
  return groups.filter((group) => group.length > 0);
}

/**
 * Writes a test file for each group of the tests in these folders that imports its members, and returns their paths. The
 * runner sorts the files it gets, so the names begin with a number.
 */
export function writeGroups(folders, { root, folder }) {
  const files = folders.flatMap((name) => testsIn(root, name));
  return groupsOf(files.toSorted()).map((group, i) => {
    const path = join(folder, `${String(i + 1).padStart(3, '0')}-${dirname(group[0]).replaceAll('/', '-')}.test.mjs`);
    writeFileSync(path, group.map((name) => `import ${JSON.stringify(pathToFileURL(join(root, name)).href)};\n`).join(''));
    return path;
  });
}

/** Without `globSync`, which the Node that runs npm test on a bare checkout may not have. */
function testsIn(root, folder) {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : testsIn(root, path);
    return path.endsWith('.test.ts') ? [path] : [];
  });
}
