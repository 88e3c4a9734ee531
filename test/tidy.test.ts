/** What no type checker or linter holds: the order of the rooms, the one source of time and chance, sizes and names. */
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { findInCode, listFiles, readSource, root } from './tidy/scan.ts';

const codeFolders = ['src', 'dashboard', 'test', 'bench', 'scripts', 'examples'];
/** Tests, and what only tests use: suites that every driver of a contract runs. */
const isTest = (path: string): boolean => /\.(?:test|test-suite|contract|fixture)\.ts$/.test(path) || path.startsWith('test/');

const source = listFiles(['src'], /\.ts$/).map(readSource);
const program = source.filter(({ path }) => !isTest(path));
const code = listFiles(codeFolders, /\.(?:tsx?|mjs|js)$/).map(readSource);

function none(offenders: readonly string[], rule: string): void {
  assert.equal(offenders.length, 0, `${rule}:\n  ${offenders.join('\n  ')}`);
}

// What each room may know beside itself. Imports point down only.
const mayKnow: Record<string, readonly string[]> = {
  core: [],
  policy: ['core'],
  wire: ['core'],
  endpoint: ['core'],
  telemetry: ['core'],
  local: ['core', 'wire'],
  transport: ['core', 'policy', 'wire', 'local'],
  store: ['core', 'policy', 'wire'],
  cluster: ['core', 'policy', 'store'],
  pipeline: ['core', 'policy', 'wire', 'endpoint', 'transport', 'store', 'cluster'],
  jobs: ['core', 'policy', 'wire', 'transport', 'store', 'pipeline'],
  gateway: ['core', 'policy', 'wire', 'local', 'transport', 'store', 'cluster', 'pipeline', 'jobs', 'telemetry', 'endpoint'],
  server: ['core', 'policy', 'wire', 'transport', 'store', 'pipeline', 'jobs', 'telemetry', 'gateway'],
  cli: ['core', 'policy', 'wire', 'transport', 'store', 'pipeline', 'jobs', 'telemetry', 'gateway', 'server', 'storm', 'testing'],
  storm: ['core', 'wire'],
  // Stands beside; what it makes is a whole gateway with everything around it simulated.
  testing: ['core', 'policy', 'store', 'transport', 'gateway', 'server'],
  'index.ts': ['core', 'pipeline', 'gateway', 'server'],
};
const forTests = ['testing', 'storm'];

/** The folder under src; for the package's entry and its test, the entry. */
const roomOf = (path: string): string => path.split('/')[1]?.replace('.test.ts', '.ts') ?? '';

test('every room is known here', () => {
  const rooms = new Set(source.map(({ path }) => roomOf(path)));
  none(
    [...rooms].filter((room) => !(room in mayKnow)),
    'a new room needs a place in the order',
  );
});

test('imports point down only', () => {
  const offenders = source.flatMap(({ path, imports }) => {
    const room = roomOf(path);
    const known = new Set([room, ...(mayKnow[room] ?? []), ...(isTest(path) ? forTests : [])]);
    return imports.filter((name) => name.startsWith('src/') && !known.has(roomOf(name))).map((name) => `${path} -> ${name}`);
  });
  none(offenders, 'imports that point up or across');
});

/** The folders of the pipeline, lowest first; each imports only those before it. Files beside them may import all. */
const pipelineOrder = ['route', 'admission', 'request', 'conversion', 'opaque', 'attempt', 'active', 'settle', 'retry', 'group', 'quality', 'delivery', 'sharing']; // prettier-ignore

test('imports between the folders of the pipeline point one way', () => {
  const placeOf = (path: string): number => {
    const [, , folder, file] = path.split('/');
    if (file === undefined) return pipelineOrder.length;
    assert.ok(pipelineOrder.includes(folder!), `a new folder of the pipeline needs a place in the order: ${folder}`);
    return pipelineOrder.indexOf(folder!);
  };
  const isInPipeline = (path: string): boolean => path.startsWith('src/pipeline/');
  const offenders = program
    .filter(({ path }) => isInPipeline(path))
    .flatMap(({ path, imports }) =>
      imports.filter((name) => isInPipeline(name) && placeOf(name) > placeOf(path)).map((name) => `${path} -> ${name}`),
    );
  none(offenders, 'imports that point up within the pipeline');
});

test('no policy knows another', () => {
  const policyOf = (path: string): string => (path.split('/')[2] ?? '').replace(/(?:\.test)?\.ts$/, '');
  const offenders = program.flatMap(({ path, imports }) =>
    imports
      .filter((name) => path.startsWith('src/policy/') && name.startsWith('src/policy/') && policyOf(name) !== policyOf(path))
      .map((name) => `${path} -> ${name}`),
  );
  none(offenders, 'policies meet in core only');
});

test('the stores over SQLite and Redis import nothing of each other', () => {
  const driverOf = (path: string): string | null => /^src\/store\/(sqlite|redis)\//.exec(path)?.[1] ?? null;
  const offenders = program.flatMap(({ path, imports }) =>
    imports
      .filter((name) => driverOf(path) !== null && driverOf(name) !== null && driverOf(path) !== driverOf(name))
      .map((name) => `${path} -> ${name}`),
  );
  none(offenders, 'what both need is in src/store');
});

test('no file imports itself, however long the way round', () => {
  const graph = new Map(source.map(({ path, imports }) => [path, imports.filter((name) => name.startsWith('src/'))]));
  const cycles = new Set<string>();
  const finished = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    if (trail.includes(path)) cycles.add([...trail.slice(trail.indexOf(path)), path].join(' -> '));
    if (finished.has(path) || trail.includes(path)) return;
    for (const name of graph.get(path) ?? []) visit(name, [...trail, path]);
    finished.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
  none([...cycles], 'import cycles');
});

const ownsTimeOrChance = new Set([
  'src/gateway/system-clock.ts',
  'src/gateway/system-random.ts',
  'src/storm/system.ts',
  'src/transport/turn-end.ts', // the turn of real sockets
  'src/testing/manual-clock.ts', // lets real I/O take its turn between two virtual instants
]);
const timeOrChance =
  /\bDate\.now\b|\bperformance\.now\b|\bnew Date\(\s*\)|\bDate\(\s*\)|(?<![.\w])(?:setTimeout|setInterval|setImmediate)\b|\bAbortSignal\.timeout\b|\bprocess\.hrtime\b|\bMath\.random\b|\brandomUUID\b/g;
const timers = /^(?:node:)?timers(?:\/promises)?$/;

test('time and chance are made in the system files and nowhere else', () => {
  const offenders = program
    .filter(({ path }) => !ownsTimeOrChance.has(path))
    .flatMap((file) => [
      ...findInCode(file, timeOrChance),
      ...file.imports.filter((name) => timers.test(name)).map((name) => `${file.path} imports ${name}`),
    ]);
  none(offenders, 'take a Clock or a Random instead');
});

// Where a real socket, thread or disk is what is tested, a test may wait for it. These only ever go down.
const waitingTestsMax: Record<string, number> = { storm: 0, store: 0 };

test('no unit test sleeps', () => {
  const sleeping = source
    .filter(({ path }) => isTest(path) && path !== 'src/gateway/system-clock.test.ts')
    .filter(
      (file) =>
        findInCode(file, /(?<![.\w])(?:setTimeout|setInterval|AbortSignal\.timeout)\b/g).length > 0 ||
        file.imports.some((name) => timers.test(name)),
    )
    .map(({ path }) => path);
  const offenders = [...new Set(sleeping.map(roomOf))].flatMap((room) => {
    const inRoom = sleeping.filter((path) => roomOf(path) === room);
    return inRoom.length > (waitingTestsMax[room] ?? 0) ? inRoom : [];
  });
  none(offenders, 'drive a manual clock instead');
});

test('no source file is longer than 400 lines', () => {
  const offenders = [...source, ...code.filter(({ path }) => path.startsWith('dashboard/'))]
    .map(({ path, text }) => ({ path, lines: text.split('\n').length - 1 }))
    .filter(({ lines }) => lines > 400)
    .map(({ path, lines }) => `${path}: ${lines}`);
  none(offenders, 'divide it by what it is about');
});

test('files are named in kebab-case, for what they hold', () => {
  const offenders = code
    .map(({ path }) => path)
    .filter(
      (path) =>
        !/^(?:[a-z0-9]+(?:-[a-z0-9]+)*\/)*[a-z0-9]+(?:-[a-z0-9]+)*(?:\.property)?(?:\.(?:test|test-suite|contract|fixture))?\.(?:tsx?|mjs|js)$/.test(
          path,
        ) || /(?:^|[/-])(?:utils?|helpers?|misc)\b/.test(path),
    );
  none(offenders, 'names');
});

test('a decision note has a number of its own, and is where others say it is', () => {
  const notes = listFiles(['docs/decisions'], /\.md$/).map((path) => path.slice('docs/decisions/'.length));
  const numbers = notes.map((note) => note.slice(0, 3));
  const doubled = notes.filter((_, i) => numbers.indexOf(numbers[i]!) < i);
  const named = listFiles(['docs', ...codeFolders], /\.(?:ts|md)$/).flatMap((path) =>
    [...readSource(path).text.matchAll(/\bdecisions\/(\d{3}-[a-z0-9-]+\.md)/g)].map((match) => ({ path, note: match[1]! })),
  );
  const missing = named.filter(({ note }) => !notes.includes(note)).map(({ path, note }) => `${path} -> ${note}`);
  none([...doubled, ...missing], 'numbers and links of decision notes');
});

const pictureBytesMax = 300_000;

test('pictures of the docs are small, and each is shown', () => {
  const pages = listFiles(['docs'], /\.md$/).map((path) => readSource(path).text);
  const offenders = listFiles(['docs'], /\.png$/).filter(
    (path) => statSync(join(root, path)).size > pictureBytesMax || !pages.some((text) => text.includes(`](${path.slice('docs/'.length)})`)),
  );
  none(offenders, `pictures of more than ${pictureBytesMax} bytes, or in no page`);
});

test('types are named for what they are', () => {
  const offenders = code.flatMap((file) => findInCode(file, /\bclass \w*(?:Manager|Helper)\b|\bclass Base\w*|\binterface I[A-Z][a-z]\w*/g));
  none(offenders, 'no Manager, Helper, Base or I');
});

test('only syntax that can be erased is used', () => {
  const offenders = code.flatMap((file) =>
    findInCode(
      file,
      /\benum \w+\s*\{|\bnamespace \w+\s*\{|\bconstructor\s*\((?:[^)]*,)?\s*(?:private|public|protected|override|readonly) \w+/g,
    ),
  );
  none(offenders, 'enums, namespaces and parameter properties');
});

/** Only ever goes down. */
const anyMax = 0;

test('types are not given up with any', () => {
  const offenders = program.flatMap((file) => findInCode(file, /\bas any\b|[:<,(|&]\s*any\b(?=\s*[,;)>=|&[])/g));
  assert.ok(offenders.length <= anyMax, `more than ${anyMax}:\n  ${offenders.join('\n  ')}`);
});

// Written in pieces, so that this file does not offend.
const foreign = new RegExp(
  [
    String.raw`(?<![\w.}-])/(?:work|tmp|root|home)/`,
    String.raw`registry\.npm` + 'js',
    String.raw`deb\.deb` + 'ian',
    String.raw`(?:files\.python` + String.raw`hosted|pypi\.o)`,
    String.raw`proxy\.go` + 'lang',
  ].join('|'),
  'g',
);
const unfinished = new RegExp(String.raw`\b(?:TO` + 'DO|FIX' + String.raw`ME|XX` + String.raw`X)\b`, 'g');

test('nothing names a machine, a registry or unfinished work', () => {
  const paths = listFiles(['.'], /\.(?:ts|mjs|js|json|ya?ml|md|sh|html|css)$|^(?:run|Dockerfile)$/);
  const offenders = paths.flatMap((path) => {
    const { text } = readSource(path);
    const found = [...text.matchAll(foreign), ...text.matchAll(unfinished)];
    return found.map((match) => `${path}:${text.slice(0, match.index).split('\n').length} ${match[0]}`);
  });
  none(offenders, 'machine paths, registry hosts, unfinished work');
});
