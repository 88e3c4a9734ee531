import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseConfig } from './parse-config.ts';
import { isModelAllowed, resolveModel, type ModelLists } from './resolve-model.ts';
import type { Config } from './config.ts';

const local = { baseUrl: 'http://127.0.0.1:1/v1' };

function configOf(input: { providers?: Record<string, object>; models?: Record<string, unknown> }): Config {
  const result = parseConfig({ providers: { p: local, q: local }, ...input }, { source: 'library' });
  assert.ok(result.ok, JSON.stringify(result));
  return result.config;
}

/** `rule: tier | tier`, with the targets of a tier joined by `+`; null: not found. */
function route(config: Config, name: string, lists?: ModelLists): string | null {
  const resolved = resolveModel(config, name, lists);
  if (resolved === null) return null;
  const tiers = resolved.tiers.map((tier) => tier.map((target) => `${target.provider}/${target.model}`).join(' + '));
  return `${resolved.by}: ${tiers.join(' | ')}`;
}

test('a configured model takes precedence, even if its name looks like a target', () => {
  const config = configOf({ models: { fast: ['p/a', 'q/b'], 'p/a': ['q/c'] } });
  assert.equal(route(config, 'fast'), 'model: p/a | q/b');
  assert.equal(route(config, 'p/a'), 'model: q/c');
});

test('NAME/rest is split at the first slash if NAME is a provider', () => {
  const config = configOf({ models: { '*': ['p/*'] } });
  assert.equal(route(config, 'q/meta-llama/llama-3'), 'target: q/meta-llama/llama-3');
  assert.equal(route(config, 'meta-llama/llama-3'), 'pattern: p/meta-llama/llama-3');
  assert.equal(route(configOf({}), 'q/'), null);
  assert.equal(route(configOf({}), '/q'), null);
  assert.equal(route(configOf({}), 'q'), null);
});

test('the most specific pattern wins, and the matched text replaces * in its targets', () => {
  const config = configOf({
    models: { '*': ['p/any-*'], 'claude-*': ['p/anthropic.claude-*', 'q/fixed'], 'claude-*-mini': ['q/*'], '*-claude': ['q/x'] },
  });
  assert.equal(route(config, 'claude-4'), 'pattern: p/anthropic.claude-4 | q/fixed');
  assert.equal(route(config, 'claude-4-mini'), 'pattern: q/4');
  assert.equal(route(config, 'other'), 'pattern: p/any-other');
  assert.equal(route(config, 'my-claude'), 'pattern: q/x');
});

test('among patterns of the same length the longest prefix wins, then the first', () => {
  const config = configOf({ models: { '*-abc': ['p/1'], 'abc-*': ['p/2'], 'ab*c-': ['p/3'] } });
  assert.equal(route(config, 'abc-abc'), 'pattern: p/2');
  assert.equal(route(config, 'abc-x'), 'pattern: p/2');
});

test('a pattern that would leave a target without a model does not match', () => {
  const config = configOf({ models: { 'x-*': ['p/*'], 'x*': ['q/ok*'] } });
  assert.equal(route(config, 'x-1'), 'pattern: p/1');
  assert.equal(route(config, 'x-'), 'pattern: q/ok-');
  assert.equal(route(config, 'x'), 'pattern: q/ok');
});

test('the name of a pattern is not a model', () => {
  assert.equal(route(configOf({ models: { 'x-*': ['p/fixed'] } }), 'x-*'), 'pattern: p/fixed');
});

test("the model's maker comes first, then other providers that serve it", () => {
  const config = configOf({
    providers: { openrouter: { apiKey: 'k' }, openai: { apiKey: 'k' }, second: { preset: 'openai', apiKey: 'l' } },
  });
  assert.equal(route(config, 'gpt-4o-mini'), 'preset: openai/gpt-4o-mini + second/gpt-4o-mini | openrouter/openai/gpt-4o-mini');
});

test('without its maker a model is requested from providers that serve it', () => {
  const config = configOf({ providers: { openrouter: { apiKey: 'k' }, deepinfra: { apiKey: 'k' }, groq: { apiKey: 'k' } } });
  assert.equal(route(config, 'gpt-4o-mini'), 'preset: openrouter/openai/gpt-4o-mini');
  assert.equal(route(config, 'anthropic/claude-sonnet-4.5'), 'preset: openrouter/anthropic/claude-sonnet-4.5');
  assert.equal(route(config, 'Qwen/Qwen3-32B'), 'preset: deepinfra/Qwen/Qwen3-32B');
  assert.equal(route(config, 'llama-3.3-70b-versatile'), 'preset: groq/llama-3.3-70b-versatile');
  assert.equal(route(config, 'claude-sonnet-4-5'), null);
});

test('the list of a provider takes precedence over its preset', () => {
  const config = configOf({ providers: { openrouter: { apiKey: 'k' }, deepinfra: { apiKey: 'k' } } });
  const name = 'meta-llama/llama-3';
  assert.equal(route(config, name), 'preset: openrouter/meta-llama/llama-3 + deepinfra/meta-llama/llama-3');
  assert.equal(route(config, name, new Map([['openrouter', new Set(['other'])]])), 'preset: deepinfra/meta-llama/llama-3');
});

test("last, a name is looked up in the providers' lists and configured models", () => {
  const config = configOf({ providers: { p: local, q: { ...local, models: { 'my-model': {} } }, ollama: {} } });
  const lists = new Map([
    ['ollama', new Set(['llama3.2', 'my-model'])],
    ['p', new Set(['llama3.2'])],
  ]);
  assert.equal(route(config, 'llama3.2', lists), 'list: p/llama3.2 | ollama/llama3.2');
  assert.equal(route(config, 'my-model', lists), 'list: q/my-model | ollama/my-model');
  assert.equal(route(config, 'llama3.2'), null);
  assert.equal(route(config, 'constructor', lists), null);
});

test('patience and policy are those of the configured model, else the defaults', () => {
  const config = configOf({ models: { slow: { targets: ['p/a'], patience: '5s', policy: { deadline: '20s' } } } });
  assert.deepEqual([resolveModel(config, 'slow')?.patience, resolveModel(config, 'slow')?.policy], [5000, { deadline: 20_000 }]);
  assert.deepEqual([resolveModel(config, 'p/a')?.patience, resolveModel(config, 'p/a')?.policy], [1000, {}]);
});

test('invalid names are not found', () => {
  const config = configOf({ models: { '*': ['p/*'] } });
  for (const name of ['', 'a\r\nx-injected: 1', 'p/\u0000', 'x'.repeat(513)]) assert.equal(route(config, name), null);
});

test('for any name, a route has no empty tier and only known providers', () => {
  const config = configOf({
    providers: { p: local, openai: { apiKey: 'k' }, openrouter: { apiKey: 'k' }, groq: { apiKey: 'k' } },
    models: { a: [['p/x', 'p/y'], 'p/z'], 'a*': ['p/*'], '*b': ['p/b-*'], 'gpt-*': ['openai/gpt-*'] },
  });
  const part = fc.constantFrom('a', 'b', 'p', '/', 'gpt-', '*', 'openai', '4o', '-', 'Ab', ':free');
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(part, { maxLength: 6 }).map((parts) => parts.join('')),
      ),
      (name) => {
        const resolved = resolveModel(config, name);
        assert.deepEqual(resolveModel(config, name), resolved);
        if (resolved === null) return;
        assert.ok(resolved.tiers.length > 0);
        for (const tier of resolved.tiers) {
          assert.ok(tier.length > 0);
          for (const target of tier) {
            assert.ok(config.providers[target.provider] !== undefined);
            assert.ok(target.model.length > 0 && target.weight > 0);
          }
        }
      },
    ),
    { numRuns: 1000 },
  );
});

test('the matched text and the rest of the pattern form the name', () => {
  const word = fc.stringMatching(/^[a-z0-9.-]{0,8}$/);
  fc.assert(
    fc.property(word, word, word, (head, middle, tail) => {
      const config = configOf({ models: { [`m${head}*${tail}`]: ['p/_*_'] } });
      assert.equal(route(config, `m${head}${middle}${tail}`), `pattern: p/_${middle}_`);
    }),
  );
});

test('a client without a list may use everything, one with a list only its models', () => {
  const { providers } = configOf({});
  assert.equal(isModelAllowed(null, 'anything', providers), true);
  assert.equal(isModelAllowed([], 'fast', providers), false);
  assert.equal(isModelAllowed(['fast', 'claude-*'], 'fast', providers), true);
  assert.equal(isModelAllowed(['fast', 'claude-*'], 'claude-4', providers), true);
  assert.equal(isModelAllowed(['fast', 'claude-*'], 'slow', providers), false);
});

test('a client with a list may request a target only if the list contains targets', () => {
  const { providers } = configOf({ providers: { p: local, 'gpt-cheap': local } });
  assert.equal(isModelAllowed(['gpt-*'], 'gpt-cheap/x', providers), false);
  assert.equal(isModelAllowed(['gpt-*'], 'gpt-other/x', providers), true);
  assert.equal(isModelAllowed(['p/*'], 'p/x', providers), true);
  assert.equal(isModelAllowed(['p/x'], 'p/y', providers), false);
  assert.equal(isModelAllowed(['*'], 'p/x', providers), true);
});
