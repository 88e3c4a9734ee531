/** docs/compatibility.md, the rows of Vercel's AI SDK, LangChain and Python. `BREAKWATER_TEST_CLIENTS=1` installs them (350 MB, two minutes). */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { checkRow } from '../../compatibility/table.ts';
import { HeavyPackages } from '../install.ts';
import { lineClient, LineProcess } from './line-client.ts';

const here = import.meta.dirname;
const isWanted = process.env['BREAKWATER_TEST_CLIENTS'] === '1';
const packages = new HeavyPackages(here, "Vercel's AI SDK and LangChain (some 135 MB)");
const { dependencies } = JSON.parse(readFileSync(join(here, 'package.json'), 'utf8')) as { dependencies: Record<string, string> };

/** Name in the table, key in the program, package. */
const NODE_CLIENTS = [
  ['`ai` with `@ai-sdk/openai` (Responses)', 'ai openai responses', '@ai-sdk/openai'],
  ['`ai` with `@ai-sdk/openai` (chat)', 'ai openai chat', '@ai-sdk/openai'],
  ['`ai` with `@ai-sdk/openai-compatible`', 'ai openai-compatible', '@ai-sdk/openai-compatible'],
  ['`ai` with `@ai-sdk/anthropic`', 'ai anthropic', '@ai-sdk/anthropic'],
  ['`ai` with `@ai-sdk/google`', 'ai google', '@ai-sdk/google'],
  ['`@langchain/openai`', 'langchain openai', '@langchain/openai'],
  ['`@langchain/anthropic`', 'langchain anthropic', '@langchain/anthropic'],
  ['`@langchain/google-genai`', 'langchain google', '@langchain/google-genai'],
] as const;

const PYTHON_CLIENTS = [
  ['Python `openai` chat', 'python openai chat', 'openai'],
  ['Python `openai` responses', 'python openai responses', 'openai'],
  ['Python `anthropic`', 'python anthropic', 'anthropic'],
  ['Python `google-genai`', 'python google-genai', 'google-genai'],
  ['Python `langchain-openai`', 'python langchain-openai', 'langchain-openai'],
  ['Python `langchain-anthropic`', 'python langchain-anthropic', 'langchain-anthropic'],
  ['Python `langchain-google-genai`', 'python langchain-google-genai', 'langchain-google-genai'],
] as const;

const environment = join(here, 'node_modules', '.python');
const python = join(environment, process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python');
const requirements = join(here, 'python', 'requirements.txt');
const stamp = join(environment, 'breakwater-requirements');

function hasPython(t: TestContext): boolean {
  const wanted = readFileSync(requirements, 'utf8');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return true;
  if (!isWanted) {
    t.skip('BREAKWATER_TEST_CLIENTS=1 installs the SDKs of Python and runs this');
    return false;
  }
  const steps = [
    ['python3', '-m', 'venv', environment],
    [python, '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', requirements],
  ] as const;
  for (const [command, ...args] of steps) {
    const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
    if (status === 0) continue;
    t.skip(`the SDKs of Python can not be installed: ${error?.message ?? stderr.trim().split('\n').at(-1)}`);
    return false;
  }
  writeFileSync(stamp, wanted);
  return true;
}

describe('docs/compatibility.md', { concurrency: 1 }, () => {
  for (const [name, key, from] of NODE_CLIENTS) {
    it(`says what ${name} can do with each dialect`, async (t) => {
      if (!packages.isInstalled && !isWanted) return t.skip('BREAKWATER_TEST_CLIENTS=1 installs the clients and runs this');
      if (!(await packages.install(t))) return;
      const running = new LineProcess(process.execPath, [join(here, 'clients.mjs')]);
      await checkRow(t, lineClient(t, running, name, key, dependencies[from]!));
    });
  }

  for (const [name, key, from] of PYTHON_CLIENTS) {
    it(`says what ${name} can do with each dialect`, async (t) => {
      if (!hasPython(t)) return;
      const version = new RegExp(`^${from}==(.+)$`, 'm').exec(readFileSync(requirements, 'utf8'))![1]!;
      await checkRow(t, lineClient(t, new LineProcess(python, [join(here, 'python', 'clients.py')]), name, key, version));
    });
  }
});
