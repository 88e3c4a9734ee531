import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import OpenAI from 'openai';
import { startCli } from '../cli/run-cli.ts';

export interface Member {
  readonly openai: OpenAI;
  readonly base: string;
  kill(): Promise<void>;
  signal(name: 'SIGSTOP' | 'SIGCONT'): void;
}

/** Gateways in processes of their own, with one provider and one store. */
export async function startMembers(t: TestContext, store: string, url: string, count: number, limits: object): Promise<Member[]> {
  const cwd = await mkdtemp(join(tmpdir(), 'breakwater-fleet-'));
  t.after(() => rm(cwd, { recursive: true, force: true }));
  const config = {
    server: { port: 0 },
    store,
    providers: { a: { protocol: 'openai', baseUrl: url, apiKey: 'sk-test', limits } },
    models: { fast: ['a/m'] },
    telemetry: { logs: { level: 'error' } },
  };
  await writeFile(join(cwd, 'breakwater.json'), JSON.stringify(config));
  const start = async (): Promise<Member> => {
    const cli = startCli(['serve'], { cwd });
    t.after(() => cli.child.kill('SIGKILL'));
    const [, base] = await cli.until('stdout', /listening on (\S+)/);
    return {
      openai: new OpenAI({ baseURL: `${base}/v1`, apiKey: 'unused', maxRetries: 0, timeout: 20_000 }),
      base: base!,
      async kill() {
        cli.child.kill('SIGKILL');
        await cli.ended;
      },
      signal: (name) => void cli.child.kill(name),
    };
  };
  return Promise.all(Array.from({ length: count }, start));
}
