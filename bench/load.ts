/** Load generation with wrk: what it sends and its results. */
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { clientKey } from './bodies.ts';
import { cores, pinned } from './processes.ts';

const run = promisify(execFile);

export interface Load {
  readonly url: string;
  readonly body: string;
  readonly connections: number;
  readonly seconds: number;
}

export interface Seen {
  readonly perSecond: number;
  readonly count: number;
  readonly medianMs: number;
  readonly p99Ms: number;
  /** Duration of the load, without the start of the generator. */
  readonly tookMs: number;
}

/** Sends `body` repeatedly and returns the results. Throws if a response was not 200 or a connection broke. */
export async function sendLoad(folder: string, { url, body, connections, seconds }: Load): Promise<Seen> {
  const bodyFile = join(folder, 'body.json');
  const script = join(folder, 'post.lua');
  writeFileSync(bodyFile, body);
  writeFileSync(
    script,
    `local file = io.open(${JSON.stringify(bodyFile)}, "rb")\nwrk.method = "POST"\nwrk.body = file:read("*a")\nfile:close()\n` +
      `wrk.headers["content-type"] = "application/json"\nwrk.headers["authorization"] = "Bearer ${clientKey}"\n` +
      `done = function(summary, latency)\n` +
      `  io.write(string.format("RESULT %d %d %f %f %d %d\\n", summary.requests, summary.duration, latency:percentile(50), ` +
      `latency:percentile(99), summary.errors.status, summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))\nend\n`,
  );
  const options = [
    '--threads',
    '1',
    '--connections',
    String(connections),
    '--duration',
    `${seconds}s`,
    '--timeout',
    '20s',
    '--script',
    script,
  ];
  const [file = '', ...args] = pinned(cores.load, ['wrk', ...options, `${url}/v1/chat/completions`]);
  const { stdout } = await run(file, args);
  const numbers = /RESULT (.+)/.exec(stdout)?.[1]?.split(' ').map(Number) ?? [];
  const [count = 0, durationUs = 1, medianUs = 0, p99Us = 0, refused = 0, broken = 0] = numbers;
  if (count === 0 || refused > 0 || broken > 0) {
    throw new Error(`${url}: ${count} responses, ${refused} of them not 200, ${broken} broken connections`);
  }
  return { perSecond: (count * 1e6) / durationUs, count, medianMs: medianUs / 1000, p99Ms: p99Us / 1000, tookMs: durationUs / 1000 };
}
