import assert from 'node:assert/strict';
import { bothWays, chat } from '../../test/server/both-ways.ts';

const clients = [
  { name: 'web', key: 'web-key-1234', priority: 'normal' },
  { name: 'nightly', key: 'nightly-key', priority: 'low', maxPriority: 'normal' },
] as const;

const priorities: [string, object, Record<string, string>, string][] = [
  ['the client’s own', {}, { 'x-api-key': 'nightly-key' }, 'low'],
  ['raised by header up to maxPriority', {}, { 'x-api-key': 'nightly-key', 'x-breakwater-priority': 'high' }, 'normal'],
  ['lowered by header', {}, { 'x-api-key': 'web-key-1234', 'x-breakwater-priority': 'low' }, 'low'],
  ['not raised above its own by default', {}, { 'x-api-key': 'web-key-1234', 'x-breakwater-priority': 'high' }, 'normal'],
  ['lowered by service tier', { service_tier: 'flex' }, { 'x-api-key': 'web-key-1234' }, 'low'],
  ['capped for a service tier too', { service_tier: 'priority' }, { 'x-api-key': 'nightly-key' }, 'normal'],
  ['by header before service tier', { service_tier: 'priority' }, { 'x-api-key': 'web-key-1234', 'x-breakwater-priority': 'low' }, 'low'],
];

for (const [story, fields, headers, expected] of priorities) {
  bothWays(`the priority is ${story}`, { config: { clients: [...clients] } }, async ({ fetch, gateway }) => {
    assert.equal((await fetch('/v1/chat/completions', chat(fields, headers))).status, 200);
    assert.equal(gateway.requests[0]?.priority, expected);
  });
}

const roles: [string, object, Record<string, string>, string, object?][] = [
  ['the client’s own for the main loop', {}, { 'x-claude-code-request-class': 'main' }, 'normal'],
  ['the client’s own for a compaction', {}, { 'x-claude-code-request-class': 'compaction' }, 'normal'],
  ['one lower for a sub-agent', {}, { 'x-claude-code-request-class': 'subagent' }, 'low'],
  ['one lower for a workflow', { service_tier: 'priority' }, { 'x-claude-code-request-class': 'workflow' }, 'low'],
  ['low for a side task', {}, { 'x-claude-code-request-class': 'auxiliary' }, 'low'],
  ['the client’s own for a class that is not known', {}, { 'x-claude-code-request-class': 'emperor' }, 'normal'],
  ['one lower for an agent that another one started', {}, { 'x-session-id': 'b', 'x-parent-session-id': 'a' }, 'low'],
  ['by header whatever the agent says', {}, { 'x-breakwater-priority': 'normal', 'x-claude-code-request-class': 'auxiliary' }, 'normal'],
  ['as policy.agents says', {}, { 'x-claude-code-request-class': 'subagent' }, 'normal', { subagent: 'client' }],
  [
    'never above what the client may have, whatever policy.agents says',
    {},
    { 'x-claude-code-request-class': 'main' },
    'normal',
    { main: 'high' },
  ],
];

for (const [story, fields, headers, expected, agents = {}] of roles) {
  bothWays(`the priority is ${story}`, { config: { clients: [...clients], policy: { agents } } }, async ({ fetch, gateway }) => {
    assert.equal((await fetch('/v1/chat/completions', chat(fields, { 'x-api-key': 'web-key-1234', ...headers }))).status, 200);
    assert.equal(gateway.requests[0]?.priority, expected);
  });
}

bothWays(
  'a sub-agent of a client of the lowest priority has that priority',
  { config: { clients: [...clients] } },
  async ({ fetch, gateway }) => {
    await fetch('/v1/chat/completions', chat({}, { 'x-api-key': 'nightly-key', 'x-claude-code-request-class': 'subagent' }));
    assert.equal(gateway.requests[0]?.priority, 'low');
  },
);

bothWays('without clients any priority may be requested', {}, async ({ fetch, gateway }) => {
  await fetch('/v1/chat/completions', chat({}, { 'x-breakwater-priority': 'high' }));
  await fetch('/v1/chat/completions', chat({ service_tier: 'priority' }));
  await fetch('/v1/chat/completions', chat({ service_tier: 'default' }));
  assert.deepEqual(
    gateway.requests.map(({ priority }) => priority),
    ['high', 'high', 'normal'],
  );
});

const deadlines: [string, Record<string, string>, number][] = [
  ['the policy’s', {}, 20_000],
  ['set by header', { 'x-breakwater-deadline-ms': '1500' }, 1500],
  ['longer than that of the policy if requested', { 'x-breakwater-deadline-ms': '25000' }, 25_000],
  ['cut to maxDeadline', { 'x-breakwater-deadline-ms': '3600000' }, 30_000],
  ['a second before the SDK gives up', { 'x-stainless-timeout': '20' }, 19_000],
  ['5 % before the SDK gives up', { 'x-stainless-timeout': '10' }, 9500],
  ['the policy’s where the SDK waits longer', { 'x-stainless-timeout': '600' }, 20_000],
  ['the policy’s where the SDK says nothing of use', { 'x-stainless-timeout': 'NOT_GIVEN' }, 20_000],
  ['a second before the Python SDK stops to read', { 'x-stainless-read-timeout': '15' }, 14_250],
  ['5 % before the Python SDK stops to read', { 'x-stainless-read-timeout': '5.0' }, 4750],
  ['the policy’s where the Python SDK reads for longer', { 'x-stainless-read-timeout': '600' }, 20_000],
  ['the policy’s where the Python SDK has no limit', { 'x-stainless-read-timeout': 'None' }, 20_000],
  ['the shorter of what an SDK says', { 'x-stainless-timeout': '10', 'x-stainless-read-timeout': '15' }, 9500],
  ['the shorter, whichever it is', { 'x-stainless-timeout': '15', 'x-stainless-read-timeout': '10' }, 9500],
  ['by header before the SDK’s read timeout', { 'x-breakwater-deadline-ms': '15000', 'x-stainless-read-timeout': '1' }, 15_000],
  ['by header before the SDK’s', { 'x-breakwater-deadline-ms': '15000', 'x-stainless-timeout': '1' }, 15_000],
];

for (const [story, headers, expected] of deadlines) {
  bothWays(`the deadline is ${story}`, { config: { policy: { deadline: '20s', maxDeadline: '30s' } } }, async ({ fetch, gateway }) => {
    gateway.clock.advance(500);
    await fetch('/v1/chat/completions', chat({}, headers));
    assert.equal(gateway.requests[0]?.receivedAt, 500);
    assert.equal(gateway.requests[0]?.deadline, 500 + expected);
  });
}

const streams: [string, Record<string, string>, number, number | null][] = [
  ['gets keep-alives before its caller stops to read', { 'x-stainless-read-timeout': '10' }, 20_000, 8000],
  ['gets them however little its caller waits, but not without end', { 'x-stainless-read-timeout': '0.001' }, 20_000, 250],
  ['keeps the requested deadline', { 'x-breakwater-deadline-ms': '15000', 'x-stainless-read-timeout': '10' }, 15_000, 8000],
  ['gets them as the policy says where nothing is known', {}, 20_000, null],
  ['has the deadline of the whole timeout', { 'x-stainless-timeout': '10' }, 9500, null],
];

for (const [story, headers, deadline, keepAliveMaxMs] of streams) {
  bothWays(`a stream ${story}`, { config: { policy: { deadline: '20s', maxDeadline: '30s' } } }, async ({ fetch, gateway }) => {
    await fetch('/v1/chat/completions', chat({ stream: true }, headers));
    assert.equal(gateway.requests[0]?.deadline, deadline);
    assert.equal(gateway.requests[0]?.keepAliveMaxMs, keepAliveMaxMs);
  });
}

bothWays('fallback is on by default', {}, async ({ fetch, gateway }) => {
  for (const headers of [{}, { 'x-breakwater-fallback': 'on' }, { 'x-breakwater-fallback': 'off', 'x-breakwater-cache': 'refresh' }]) {
    await fetch('/v1/chat/completions', chat({}, headers));
  }
  assert.deepEqual(
    gateway.requests.map(({ fallback }) => fallback),
    [true, true, false],
  );
});

const senseless: [string, string][] = [
  ['x-breakwater-priority', 'urgent'],
  ['x-breakwater-deadline-ms', '0'],
  ['x-breakwater-deadline-ms', '1.5'],
  ['x-breakwater-deadline-ms', '10s'],
  ['x-breakwater-fallback', 'no'],
  ['x-breakwater-cache', 'hit'],
];

for (const [name, value] of senseless) {
  bothWays(`${name}: ${value} is refused with the name of the header`, {}, async ({ fetch, gateway }) => {
    const response = await fetch('/v1/chat/completions', chat({}, { [name]: value }));
    assert.equal(response.status, 400);
    const { error } = (await response.json()) as { error: { code: string; param: string; message: string } };
    assert.deepEqual([error.code, error.param], ['invalid_request', name]);
    assert.ok(error.message.includes(JSON.stringify(value)), error.message);
    assert.equal(gateway.requests.length, 0);
  });
}

bothWays('only permitted headers are forwarded', {}, async ({ fetch, gateway }) => {
  const headers = {
    traceparent: '00-a-b-01',
    'openai-organization': 'org',
    'x-stainless-lang': 'js',
    cookie: 'a=b',
    accept: 'application/json',
  };
  await fetch('/v1/chat/completions', chat({}, headers));
  assert.deepEqual(gateway.requests[0]?.forwardHeaders, [
    'openai-organization',
    'org',
    'traceparent',
    '00-a-b-01',
    'accept',
    'application/json',
  ]);
});

bothWays('unknown x-breakwater headers are passed to the engine by name', {}, async ({ fetch, gateway }) => {
  const headers = { 'x-breakwater-prority': 'high', 'x-breakwater-cache': 'off', 'x-breakwater-timeout': '5' };
  assert.equal((await fetch('/v1/chat/completions', chat({}, headers))).status, 200);
  assert.deepEqual(gateway.requests[0]?.unknownHeaders, ['x-breakwater-prority', 'x-breakwater-timeout']);
  await fetch('/v1/chat/completions', chat({}, {}));
  assert.deepEqual(gateway.requests[1]?.unknownHeaders, []);
});
