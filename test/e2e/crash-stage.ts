/** A gateway in a process of its own, on one SQLite file, that is killed and started again. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { startCli } from '../cli/run-cli.ts';

export interface CrashingGateway {
  readonly base: string;
  readonly openai: OpenAI;
  readonly anthropic: Anthropic;
  /** Resolves when the process has ended. */
  kill(): Promise<void>;
}

/** Returns a function that starts the gateway, each time over the state that the last one left. `fast` is the model `target` of provider `a`. */
export async function stageCrashes(t: TestContext, provider: object, target: string): Promise<() => Promise<CrashingGateway>> {
  const cwd = await mkdtemp(join(tmpdir(), 'breakwater-crash-'));
  t.after(() => rm(cwd, { recursive: true, force: true }));
  const config = {
    server: { port: 0 },
    providers: { a: { protocol: 'openai', apiKey: 'sk-test', ...provider } },
    models: { fast: [target] },
    telemetry: { logs: { level: 'error' } },
  };
  await writeFile(join(cwd, 'breakwater.json'), JSON.stringify(config));
  return async () => {
    const cli = startCli(['serve'], { cwd });
    t.after(() => cli.child.kill('SIGKILL'));
    const [, base] = await cli.until('stdout', /listening on (\S+)/);
    return {
      base: base!,
      openai: new OpenAI({ baseURL: `${base}/v1`, apiKey: 'unused', maxRetries: 0, timeout: 20_000 }),
      anthropic: new Anthropic({ baseURL: base!, apiKey: 'unused', maxRetries: 0 }),
      async kill() {
        cli.child.kill('SIGKILL');
        await cli.ended;
      },
    };
  };
}
