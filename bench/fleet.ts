/**
 * A fleet in real time: `node scripts/run-source.mjs bench/fleet.ts --minutes 10`. Four instances with one Redis before a provider that allows
 * 600 requests and 100,000 tokens a minute, under 1.2 times that load, 70, 20, 8 and 2 % of it on each. Members join, leave and are killed;
 * one that is gone is replaced. `--window sliding`: both limits apply to any minute. The figures are Storm's own count. Exits 1 where the limit was exceeded or less than 95 % of it used.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createSeededRandom } from '../src/testing/seeded-random.ts';
import type { StormStats } from '../src/storm/stats.ts';
import { startRedis } from '../test/redis/server.ts';

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '10' }, window: { type: 'string', default: 'bucket' } } });
const IS_SLIDING = values.window === 'sliding';
const MINUTES = Number(values.minutes);
const REQUESTS = 600;
const TOKENS = 100_000;
/** What is full at the start, and not used up at the end, in minutes. */
const BURST = IS_SLIDING ? 0 : 0.1;
const LOAD = 1.2;
const WEIGHTS = [0.7, 0.2, 0.08, 0.02];
/** Share of the run: what happens then. */
const EVENTS: readonly (readonly [at: number, what: 'join' | 'leave' | 'kill', place: number])[] = [
  [0.15, 'join', 4],
  [0.3, 'leave', 1],
  [0.4, 'kill', 0],
  [0.55, 'leave', 4],
  [0.65, 'kill', 2],
  [0.75, 'kill', 0],
  [0.85, 'leave', 3],
];
const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

interface Member {
  readonly child: ChildProcess;
  readonly base: string;
}

const folder = mkdtempSync(join(tmpdir(), 'breakwater-fleet-'));
const children = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

async function launch(args: readonly string[], pattern: RegExp): Promise<Member> {
  const child = spawn(process.execPath, [join(import.meta.dirname, '../src/cli/main.ts'), ...args], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.add(child);
  child.once('exit', () => children.delete(child));
  let text = '';
  for await (const bytes of child.stdout) {
    text += String(bytes);
    const found = pattern.exec(text);
    if (found === null) continue;
    child.stdout.resume();
    return { child, base: found[1]! };
  }
  throw new Error(`it ended before it listened: ${text}`);
}

const redis = await startRedis();
const enforced = IS_SLIDING ? ['--enforce', 'sliding'] : ['--burst', String(BURST)];
const limits = ['--requests-per-minute', String(REQUESTS), '--tokens-per-minute', String(TOKENS), ...enforced];
const storm = await launch(['storm', ...limits, '--tokens', '500', '--plain-ms', '800'], /(http:\S+)\/v1/);
const provider = {
  protocol: 'openai',
  baseUrl: `${storm.base}/v1`,
  apiKey: 'sk-test',
  limits: { requestsPerMinute: REQUESTS, tokensPerMinute: TOKENS, ...(IS_SLIDING ? { window: 'sliding' } : { burst: BURST }) },
};
const config = {
  server: { port: 0 },
  store: redis.url,
  providers: { p: provider },
  models: { fast: ['p/m'] },
  telemetry: { logs: { level: 'error' } },
};
writeFileSync(join(folder, 'breakwater.json'), JSON.stringify(config));
const start = (): Promise<Member> => launch(['serve'], /listening on (\S+)/);

const random = createSeededRandom(3);
const members: (Member | null)[] = await Promise.all(WEIGHTS.map(start));
const statuses: Record<string, number> = {};
let running = 0;

async function ask(member: Member): Promise<void> {
  const filler = 'x'.repeat(Math.floor(40 + random.next() * 160));
  const body = { model: 'fast', max_tokens: Math.floor(60 + random.next() * 120), messages: [{ role: 'user', content: filler }] };
  running++;
  let status = 'no connection';
  try {
    const headers = { 'content-type': 'application/json', 'x-breakwater-deadline-ms': '15000' };
    const response = await fetch(`${member.base}/v1/chat/completions`, { method: 'POST', headers, body: JSON.stringify(body) });
    status = String(response.status);
    await response.arrayBuffer();
  } catch {
    // Of an instance that was killed.
  }
  statuses[status] = (statuses[status] ?? 0) + 1;
  running--;
}

function choose(): Member | null {
  let draw = random.next();
  const place = WEIGHTS.findIndex((weight) => (draw -= weight) < 0);
  return members[place] ?? members.find((member) => member !== null) ?? null;
}

async function change(what: 'join' | 'leave' | 'kill', place: number): Promise<void> {
  const before = members[place] ?? null;
  members[place] = null;
  if (before !== null) {
    before.child.kill(what === 'kill' ? 'SIGKILL' : 'SIGTERM');
    await once(before.child, 'exit');
    await wait(3_000);
  }
  if (place < WEIGHTS.length || what === 'join') members[place] = await start();
}

const stats = async (): Promise<StormStats> => (await fetch(`${storm.base}/storm/stats`)).json() as Promise<StormStats>;
/** Commands of clients: what a script does inside is part of one. */
const commands = async (): Promise<number> => {
  const socket = connect(redis.port, '127.0.0.1');
  socket.write('INFO commandstats\r\n');
  let text = '';
  for await (const bytes of socket) {
    text += String(bytes);
    if (/\r\n\r\n$/.test(text)) break;
  }
  const ofClients = new Set(['evalsha', 'eval', 'hmget', 'publish']);
  let calls = 0;
  for (const [, name, count] of text.matchAll(/cmdstat_(\w+):calls=(\d+)/g)) if (ofClients.has(name!)) calls += Number(count);
  return calls;
};

const perSecond = (REQUESTS / 60) * LOAD;
const startedAt = performance.now();
const endsAt = startedAt + MINUTES * 60_000;
const due = EVENTS.map(([at, what, place]) => ({ at: startedAt + at * MINUTES * 60_000, what, place }));
const changes: Promise<void>[] = [];
const before = await stats();
let saidAt = startedAt;
for (let sent = 0; performance.now() < endsAt; sent++) {
  await wait(Math.max(0, startedAt + (sent * 1_000) / perSecond - performance.now()));
  const now = performance.now();
  while (due.length > 0 && due[0]!.at <= now) {
    const { what, place } = due.shift()!;
    process.stdout.write(`${((now - startedAt) / 1000).toFixed(0)} s: ${what} ${place}\n`);
    changes.push(change(what, place));
  }
  const member = choose();
  if (member !== null && running < 2_000) void ask(member);
  if (now - saidAt < 60_000) continue;
  saidAt = now;
  const { violations, tokens, admitted } = await stats();
  process.stdout.write(
    `${((now - startedAt) / 1000).toFixed(0)} s: ${admitted.length} admitted, ${tokens.input + tokens.output} tokens, ${violations.total} violations\n`,
  );
}
const seconds = (performance.now() - startedAt) / 1000;
const seen = await stats();
const operations = await commands();
await Promise.all(changes);
const admitted = seen.admitted.length - before.admitted.length;
const tokens = seen.tokens.input + seen.tokens.output;
const requestShare = admitted / (REQUESTS * (seconds / 60 + BURST));
const tokenShare = tokens / (TOKENS * (seconds / 60 + BURST));
const used = Math.max(requestShare, tokenShare);
const figures = {
  seconds: Math.round(seconds),
  calls: seen.calls,
  violations: seen.violations,
  requestsUsed: `${(requestShare * 100).toFixed(1)} %`,
  tokensUsed: `${(tokenShare * 100).toFixed(1)} %`,
  responses: statuses,
  redisCommandsPerCall: Number((operations / seen.calls).toFixed(2)),
};
process.stdout.write(`${JSON.stringify(figures, null, 2)}\n`);
await redis.stop();
process.exit(seen.violations.total === 0 && used >= 0.95 ? 0 : 1);
