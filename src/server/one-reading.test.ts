/** The model that is checked is the model that the provider reads: no spelling bypasses a client's list. */
import assert from 'node:assert/strict';
import { bothWays } from '../../test/server/both-ways.ts';

const clients = [
  { name: 'web', key: 'web-key-1234', models: ['fast', 'gpt-*'] },
  { name: 'all', key: 'all-key-1234' },
];
const passThrough = [{ path: '/v1/listen', provider: 'backup' }];
const config = { config: { clients, server: { passThrough } } };

function post(body: string, key = 'web-key-1234', type = 'application/json'): RequestInit {
  return { method: 'POST', headers: { 'x-api-key': key, 'content-type': type }, body };
}

const chat = (more: string): string => `{"model":"fast","messages":[]${more}}`;

const unreadable: Readonly<Record<string, string>> = {
  'a model in capitals': chat(',"Model":"secret"'),
  'a model in capitals, before it': '{"MODEL":"secret","model":"fast","messages":[]}',
  'a model with an escape and a capital': chat(',"\\u004dodel":"secret"'),
  'the same model twice, once with escapes': chat(',"mod\\u0065l":"secret"'),
  'a stream with a long s': chat(',"\\u017ftream":true'),
  'a tier in capitals': chat(',"Service_Tier":"priority"'),
  'a cache key with the sign for kelvin': chat(',"prompt_cache_\\u212aey":"x"'),
  'a dotless i': chat(',"max_tokens":1,"serv\\u0131ce_tier":"flex"'),
  'two streams': chat(',"stream":true,"stream":false'),
  'two bounds': chat(',"max_tokens":1,"max_tokens":100000'),
  'two tiers': chat(',"service_tier":"flex","service_tier":"priority"'),
  'two lists of messages': chat(',"messages":[{"role":"user","content":"x"}]'),
  'bounds in capitals': chat(',"Max_Tokens":100000'),
};

for (const [name, body] of Object.entries(unreadable)) {
  bothWays(`${name}: refused for all clients`, config, async ({ fetch, gateway }) => {
    for (const key of ['web-key-1234', 'all-key-1234']) {
      const response = await fetch('/v1/chat/completions', post(body, key));
      assert.equal(response.status, 400);
      assert.equal(((await response.json()) as { error: { code: string } }).error.code, 'invalid_request');
    }
    assert.equal(gateway.requests.length, 0);
  });
}

const naming: Readonly<Record<string, string>> = {
  'a list of models': ',"models":["fast","secret"]',
  'a list of models in capitals': ',"Models":["secret"]',
  'two lists of models': ',"models":["fast"],"models":["secret"]',
  'fallbacks by name': ',"fallbacks":["secret"]',
  'fallbacks as requests': ',"fallbacks":[{"model":"secret","temperature":1}]',
  'fallbacks as a map': ',"fallbacks":[{"fast":["secret"]}]',
  'fallbacks for long contexts': ',"context_window_fallbacks":[{"fast":["secret"]}]',
  'fallback models': ',"fallback_models":["secret"]',
  'an engine': ',"engine":"secret"',
  'a deployment': ',"deployment_id":"secret"',
  'a preset': ',"preset":"secret"',
  'a model inside extra_body': ',"extra_body":{"model":"secret"}',
  'models inside extra_body': ',"extra_body":{"deep":[{"models":["secret"]}]}',
  'the models of a plugin': ',"plugins":[{"id":"auto-router","allowed_models":["fast","secret"]}]',
  'a model for drafts': ',"speculative":{"draft_model":"secret"}',
  'a model for safety': ',"safety_model":"secret"',
  'more than is read': `,"provider":{"x":"${'y'.repeat(70_000)}"}`,
};

for (const [name, more] of Object.entries(naming)) {
  bothWays(`${name}: checked against the client's list`, config, async ({ fetch, gateway }) => {
    for (const path of ['/v1/chat/completions', '/v1/rerank', '/v1/listen']) {
      const response = await fetch(path, post(chat(more)));
      assert.equal(response.status, 403, path);
      assert.equal(((await response.json()) as { error: { code: string } }).error.code, 'model_not_allowed');
    }
    assert.equal(gateway.requests.length, 0);
    assert.equal((await fetch('/v1/chat/completions', post(chat(more), 'all-key-1234'))).status, 200, 'without a list nothing is checked');
  });
}

bothWays('allowed names, and names in other places, are accepted', config, async ({ fetch }) => {
  for (const more of [
    ',"models":["fast","gpt-5"]',
    ',"fallbacks":[{"model":"gpt-4o"}]',
    ',"metadata":{"model":"secret"},"user":"secret"',
    ',"tools":[{"type":"function","function":{"name":"model","parameters":{"properties":{"model":{"type":"string"}}}}}]',
    ',"provider":{"order":["openai"],"allow_fallbacks":false}',
    ',"reasoning":{"effort":"low"},"chat_template_kwargs":{"model_identity":"x"}',
    ',"plugins":[{"id":"web","engine":"native","max_results":3}]',
    ',"top_k":5,"Temperature":1',
  ]) {
    const response = await fetch('/v1/chat/completions', post(chat(more)));
    assert.equal(response.status, 200, `${more} ${await response.text()}`);
  }
});

bothWays('a model in the query of a forwarded path is refused', config, async ({ fetch, gateway }) => {
  for (const query of ['model=secret', 'Model=secret', 'x=1&mod%65l=secret', 'models=a']) {
    assert.equal((await fetch(`/v1/rerank?${query}`, post('{"model":"fast"}'))).status, 400, query);
    assert.equal((await fetch(`/v1/listen?${query}`, post('{"model":"fast"}'))).status, 400, query);
  }
  assert.equal(gateway.requests.length, 0);
  assert.equal((await fetch('/v1/listen?model=nova', post('{}', 'all-key-1234'))).status, 200);
});

bothWays('a body that is parsed as JSON is sent as JSON', config, async ({ fetch, gateway }) => {
  const body = '{"model":"fast","x":"&model=secret&"}';
  assert.equal((await fetch('/v1/rerank', post(body, 'web-key-1234', 'application/x-www-form-urlencoded'))).status, 200);
  assert.equal(gateway.requests[0]!.body.contentType, null);
});
