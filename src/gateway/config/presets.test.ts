import assert from 'node:assert/strict';
import { test } from 'node:test';
import { servedAs, isOwner, isReasoningModel, matchesPattern } from './model-names.ts';
import { isPresetName, presets, type Preset } from './presets.ts';

const all = Object.entries<Preset>(presets);

test('base URLs are absolute, have no trailing slash, and use TLS for hosted providers', () => {
  for (const [name, preset] of all) {
    if (preset.baseUrl === null) continue;
    assert.equal(new URL(preset.baseUrl).protocol, preset.local ? 'http:' : 'https:', name);
    assert.ok(!preset.baseUrl.endsWith('/'), name);
  }
});

test('a provider that needs a key has its own environment variable for it', () => {
  const names = all.flatMap(([, preset]) => preset.keyNames);
  assert.equal(new Set(names).size, names.length);
  for (const [name, preset] of all) assert.ok(!preset.needsKey || preset.keyNames.length > 0 || preset.baseUrl === null, name);
});

test('no model has two owners', () => {
  const models = all.flatMap(([, preset]) => [...preset.models, ...preset.owns.map((pattern) => pattern.replace('*', '1'))]);
  for (const model of models) {
    const owners = all.filter(([name]) => isPresetName(name) && isOwner(name, model));
    assert.equal(owners.length, 1, `${model}: ${owners.map(([name]) => name).join(' ')}`);
  }
});

test('known reasoning models are recognized at every provider, and others are not', () => {
  const thinking =
    'o1 o3-mini o4-mini gpt-5 gpt-5-mini deepseek-reasoner deepseek-ai/DeepSeek-R1 qwq-32b Qwen/QwQ-32B magistral-medium-latest ';
  const more = 'grok-4-fast-reasoning sonar-reasoning-pro kimi-k2-thinking openai/gpt-oss-120b qwen3-30b-a3b-thinking-2507';
  for (const model of (thinking + more).split(' ')) assert.equal(isReasoningModel(model), true, model);
  for (const model of 'gpt-4o gpt-4.1 gpt-5-chat-latest deepseek-chat grok-4-fast-non-reasoning mistral-large-latest llama3.2 foo-o1'.split(
    ' ',
  )) {
    assert.equal(isReasoningModel(model), false, model);
  }
});

test('OpenRouter is assumed to serve models with its form of names', () => {
  assert.equal(servedAs('openrouter', 'meta-llama/llama-3.3-70b-instruct:free'), 'meta-llama/llama-3.3-70b-instruct:free');
  assert.equal(servedAs('openrouter', 'gpt-4o'), 'openai/gpt-4o');
  assert.equal(servedAs('openrouter', 'grok-4'), 'x-ai/grok-4');
  for (const name of ['Qwen/Qwen3', 'accounts/fireworks/models/x', 'llama3', 'claude-sonnet-4-5'])
    assert.equal(servedAs('openrouter', name), null, name);
  assert.equal(servedAs('fireworks', 'accounts/fireworks/models/x'), 'accounts/fireworks/models/x');
});

test('each * of a pattern matches any text', () => {
  const cases: [string, string, boolean][] = [
    ['a', 'a', true],
    ['a', 'b', false],
    ['*', '', true],
    ['a*', 'a', true],
    ['a*c', 'abc', true],
    ['a*c', 'ac', true],
    ['ab*ba', 'aba', false],
    ['*b*', 'abc', true],
    ['a*b*c', 'aXbYc', true],
    ['a*b*c', 'aXcYb', false],
    ['*a*a', 'a', false],
    ['a.c', 'abc', false],
  ];
  for (const [pattern, name, expected] of cases) assert.equal(matchesPattern(pattern, name), expected, `${pattern} ${name}`);
});
