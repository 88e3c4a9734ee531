/**
 * OpenAI traffic through the whole gateway, byte for byte: what providers receive and what callers get. `GOLDEN=write npm test -- FILE`
 * writes the files anew; a change in them is a change that users see.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import type { SimulatedResponse, SimulatedCall } from '../../src/testing/simulated-upstream.ts';
import { startVirtualWorld } from '../e2e/virtual.ts';
import { SCENARIOS } from './openai-scenarios.ts';
import type { Scenario } from './openai-scenarios.ts';

const folder = join(import.meta.dirname, 'openai-traffic');
const isWriting = process.env['GOLDEN'] === 'write';

for (const scenario of SCENARIOS) {
  test(`golden: ${scenario.name}`, async (t) => {
    const seen = await record(t, scenario);
    const file = join(folder, `${scenario.name.replaceAll(/[^a-z0-9]+/gi, '-')}.txt`);
    if (isWriting) {
      mkdirSync(folder, { recursive: true });
      writeFileSync(file, seen);
    }
    assert.ok(existsSync(file), `${file} is missing`);
    assert.equal(seen, readFileSync(file, 'utf8'));
  });
}

async function record(t: TestContext, { providers, path, method, headers, body, config, models, times }: Scenario): Promise<string> {
  const answers = Object.fromEntries(
    Object.entries(providers).map(([name, answer]): [string, (call: SimulatedCall) => SimulatedResponse] => [
      name,
      typeof answer === 'function' ? answer : () => answer,
    ]),
  );
  const world = await startVirtualWorld(t, {
    providers: answers,
    ...(config !== undefined && { config }),
    ...(models !== undefined && { models }),
  });
  const parts: string[] = [];
  for (let i = 0; i < (times ?? 1); i++) {
    const exchange = async (): Promise<string> => {
      const response = await world.fetch(`http://breakwater${path ?? '/v1/chat/completions'}`, {
        method: method ?? 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      });
      return `<- ${response.status}\n${headerLines([...response.headers])}\n\n${await bodyText(response)}\n`;
    };
    const from = world.upstream.calls.length;
    const answer = await world.until(exchange());
    parts.push(...world.upstream.calls.slice(from).map(callText), answer);
  }
  return parts.join('\n');
}

function callText({ request, body }: SimulatedCall): string {
  const pairs = request.headers.flatMap((name, i) => (i % 2 === 0 ? [[name, request.headers[i + 1]!] as [string, string]] : []));
  return `-> ${request.method} ${request.origin}${request.path}\n${headerLines(pairs)}\n\n${body}\n`;
}

/** What differs from run to run stands for itself. */
function headerLines(pairs: readonly (readonly [string, string])[]): string {
  return pairs.map(([name, value]) => `${name}: ${name === 'x-request-id' ? '(id)' : value}`).join('\n');
}

async function bodyText(response: Response): Promise<string> {
  try {
    return Buffer.from(await response.arrayBuffer()).toString();
  } catch (error) {
    return `(broken off: ${(error as Error).message})`;
  }
}
