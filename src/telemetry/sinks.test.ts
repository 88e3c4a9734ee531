import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { test, type TestContext } from 'node:test';
import { fileSink, streamSink } from './sinks.ts';

/** Logs many lines to stderr, reports the result on stdout, and exits. */
const program = `
  import { createTelemetry } from ${JSON.stringify(new URL('telemetry.ts', import.meta.url).href)};
  import { systemClock as clock } from ${JSON.stringify(new URL('../gateway/system-clock.ts', import.meta.url).href)};
  const telemetry = createTelemetry({ logs: { level: 'info' }, requests: { file: '' }, clock, secrets: [] });
  let longestTurnMs = 0;
  for (let turn = 0; turn < 50; turn++) {
    const began = performance.now();
    for (let i = 0; i < 1_000; i++) telemetry.log.info({ turn, i, filler: 'x'.repeat(100) }, 'line');
    await new Promise((resolve) => setImmediate(resolve));
    longestTurnMs = Math.max(longestTurnMs, performance.now() - began);
  }
  await telemetry.close();
  const dropped = Number(/log_lines_dropped_total (\\d+)/.exec(await telemetry.metrics.scrape())[1]);
  process.stdout.write(JSON.stringify({ longestTurnMs, dropped }), () => process.exit(0));
`;
const lineCount = 50_000;

function run(t: TestContext, stderr: 'pipe' | number): ChildProcess {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], { stdio: ['ignore', 'pipe', stderr] });
  t.after(() => child.kill('SIGKILL'));
  return child;
}

async function reportOf(child: ChildProcess): Promise<{ longestTurnMs: number; dropped: number }> {
  const [report, [code]] = await Promise.all([text(child.stdout!), once(child, 'exit')]);
  assert.equal(code, 0);
  return JSON.parse(report);
}

function isWhole(line: string): boolean {
  return JSON.parse(line).msg.length > 0;
}

test('an unread stderr neither blocks the process nor keeps it from exiting', async (t) => {
  const report = await reportOf(run(t, 'pipe'));
  assert.ok(report.longestTurnMs < 1_000, `a turn took ${report.longestTurnMs} ms`);
  assert.ok(report.dropped > 0);
});

test('a stderr whose reader has closed only loses lines', async (t) => {
  const child = run(t, 'pipe');
  child.stderr!.destroy();
  assert.equal((await reportOf(child)).dropped, lineCount);
});

test('every line to a stderr that is read is written or counted as lost', async (t) => {
  const child = run(t, 'pipe');
  const [report, logged] = await Promise.all([reportOf(child), text(child.stderr!)]);
  const lines = logged.split('\n').filter(Boolean);
  assert.ok(lines.every(isWhole));
  assert.equal(lines.filter((line) => JSON.parse(line).msg === 'line').length + report.dropped, lineCount);
});

test('a stderr that is a file has complete lines', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'breakwater-'));
  t.after(() => rm(folder, { recursive: true }));
  const file = await open(join(folder, 'log'), 'a');
  const report = await reportOf(run(t, file.fd));
  await file.close();
  const lines = (await readFile(join(folder, 'log'), 'utf8')).split('\n').filter(Boolean);
  assert.ok(lines.every(isWhole));
  assert.equal(lines.filter((line) => JSON.parse(line).msg === 'line').length + report.dropped, lineCount);
});

test('a broken stream only fails its writes', async () => {
  const stream = new PassThrough();
  const sink = streamSink(stream);
  stream.destroy(new Error('EPIPE'));
  const error = await new Promise<Error | null>((resolve) => sink.write('a\n', resolve));
  assert.ok(error instanceof Error);
});

test('a full disk fails the write', { skip: process.platform !== 'linux' && 'needs /dev/full' }, async () => {
  const sink = fileSink('/dev/full');
  const error = await new Promise<Error | null>((resolve) => sink.write('a\n', resolve));
  assert.match(String(error), /ENOSPC/);
  sink.close!();
});
