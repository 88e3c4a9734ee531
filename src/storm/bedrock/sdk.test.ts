/** The official AWS SDK against Storm: Converse and InvokeModel, their streams in binary framing, and exceptions in them. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  BedrockRuntimeClient,
  ConverseCommand,
  ConverseStreamCommand,
  InvokeModelCommand,
  InvokeModelWithResponseStreamCommand,
} from '@aws-sdk/client-bedrock-runtime';
import type { ContentBlock, ConverseCommandInput, ConverseStreamOutput, Message } from '@aws-sdk/client-bedrock-runtime';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import type { Storm } from '../index.ts';
import { collect, errorOf, openStorm } from '../sdk.fixture.ts';

const ASKED: ConverseCommandInput = { modelId: 'anthropic.storm-v1:0', messages: [{ role: 'user', content: [{ text: 'hello' }] }] };

let storm: Storm;
const clients: BedrockRuntimeClient[] = [];
before(async () => {
  storm = await openStorm({ timing: { tokens: 8 } });
});
after(async () => {
  for (const client of clients) client.destroy();
  await storm.close();
});

function clientOf(fault?: string, accessKeyId = 'AKID', of = storm): BedrockRuntimeClient {
  const client = new BedrockRuntimeClient({
    region: 'us-east-1',
    endpoint: `http://127.0.0.1:${of.port}`,
    credentials: { accessKeyId, secretAccessKey: 'secret' },
    requestHandler: new NodeHttpHandler(),
    maxAttempts: 1,
  });
  if (fault !== undefined) {
    client.middlewareStack.add(
      (next) => (args) => {
        (args.request as { headers: Record<string, string> }).headers['x-storm-fault'] = fault;
        return next(args);
      },
      { step: 'build' },
    );
  }
  clients.push(client);
  return client;
}

async function converseStream(client: BedrockRuntimeClient, more: Partial<ConverseCommandInput> = {}): Promise<ConverseStreamOutput[]> {
  const { stream } = await client.send(new ConverseStreamCommand({ ...ASKED, ...more }));
  return collect(stream!);
}

test('Converse returns the same content and usage, streaming or not', async () => {
  const client = clientOf();
  const complete = await client.send(new ConverseCommand(ASKED));
  const events = await converseStream(client);
  const text = events.map(({ contentBlockDelta }) => contentBlockDelta?.delta?.text ?? '').join('');
  assert.equal(text, complete.output!.message!.content![0]!.text);
  assert.equal(complete.stopReason, 'end_turn');
  assert.equal(events.find(({ messageStop }) => messageStop !== undefined)!.messageStop!.stopReason, 'end_turn');
  assert.deepEqual(events.at(-1)!.metadata!.usage, complete.usage);
  const { calls, byPath, byModel } = storm.stats();
  assert.deepEqual([calls, byPath['/model/{id}/converse'], byModel['anthropic.storm-v1:0']], [2, 1, 2]);
});

test('a tool is called, and its result continues the conversation', async () => {
  const client = clientOf();
  const toolConfig: ConverseCommandInput['toolConfig'] = {
    tools: [{ toolSpec: { name: 'weather', inputSchema: { json: { type: 'object', properties: { city: { type: 'string' } } } } } }],
    toolChoice: { any: {} },
  };
  const offered = { tools: toolConfig.tools };
  const { output, stopReason } = await client.send(new ConverseCommand({ ...ASKED, toolConfig }));
  const call = output!.message!.content![0]!.toolUse!;
  assert.deepEqual([stopReason, call.name], ['tool_use', 'weather']);
  const events = await converseStream(client, { toolConfig });
  const json = events.map(({ contentBlockDelta }) => contentBlockDelta?.delta?.toolUse?.input ?? '').join('');
  assert.deepEqual(JSON.parse(json), call.input);
  const result: ContentBlock = { toolResult: { toolUseId: call.toolUseId, content: [{ text: 'calm' }] } };
  const messages: Message[] = [...ASKED.messages!, output!.message!, { role: 'user', content: [result] }];
  assert.equal((await client.send(new ConverseCommand({ ...ASKED, messages, toolConfig: offered }))).stopReason, 'end_turn');
  const bare = await errorOf(client.send(new ConverseCommand({ ...ASKED, messages })));
  assert.match(bare.message, /toolConfig field must be defined/);
  const open = await errorOf(
    client.send(new ConverseCommand({ ...ASKED, toolConfig: offered, messages: [...messages.slice(0, 2), ASKED.messages![0]!] })),
  );
  assert.deepEqual([open.name, /Expected toolResult blocks/.test(open.message)], ['ValidationException', true]);
});

test('reasoning is signed, and verified when it is sent back', async () => {
  const client = clientOf();
  const more = { additionalModelRequestFields: { thinking: { type: 'enabled', budget_tokens: 1024 } } };
  const { output, usage } = await client.send(new ConverseCommand({ ...ASKED, ...more }));
  assert.equal(usage!.outputTokens, 15);
  const messages: Message[] = [...ASKED.messages!, output!.message!, { role: 'user', content: [{ text: 'y' }] }];
  assert.equal((await client.send(new ConverseCommand({ ...ASKED, ...more, messages }))).stopReason, 'end_turn');
  const foreign = await errorOf(clientOf(undefined, 'OTHER').send(new ConverseCommand({ ...ASKED, ...more, messages })));
  assert.match(foreign.message, /Invalid `signature` in `thinking` block/);
});

test('InvokeModel speaks Messages, its stream in chunks', async () => {
  const client = clientOf();
  const body = JSON.stringify({ anthropic_version: 'bedrock-2023-05-31', max_tokens: 100, messages: [{ role: 'user', content: 'hello' }] });
  const complete = await client.send(new InvokeModelCommand({ modelId: 'm', body, contentType: 'application/json' }));
  const message = JSON.parse(Buffer.from(complete.body).toString()) as { content: { text: string }[] };
  const stream = await client.send(new InvokeModelWithResponseStreamCommand({ modelId: 'm', body, contentType: 'application/json' }));
  const events: { type: string; delta?: { text?: string } }[] = (await collect(stream.body!)).map(({ chunk }) =>
    JSON.parse(Buffer.from(chunk!.bytes!).toString()),
  );
  assert.deepEqual([events[0]!.type, events.at(-1)!.type], ['message_start', 'message_stop']);
  const deltas = events.filter(({ type }) => type === 'content_block_delta').map(({ delta }) => delta!.text);
  assert.equal(deltas.join(''), message.content[0]!.text);
});

test('errors have the names of Bedrock exceptions', async () => {
  for (const [fault, name, status] of [
    ['429', 'ThrottlingException', 429],
    ['400', 'ValidationException', 400],
    ['403', 'AccessDeniedException', 403],
    ['404', 'ResourceNotFoundException', 404],
    ['500', 'InternalServerException', 500],
    ['503', 'ServiceUnavailableException', 503],
    ['408', 'ModelTimeoutException', 408],
  ] as const) {
    const error = await errorOf(clientOf(fault).send(new ConverseCommand(ASKED)));
    assert.deepEqual([error.name, (error['$metadata'] as { httpStatusCode: number }).httpStatusCode], [name, status]);
  }
});

test('exceptions in a stream, broken connections and bytes of another framing are SDK errors', async () => {
  for (const [fault, name] of [
    ['error-first', 'InternalServerException'],
    ['error-content-3; reason=rate-limit', 'ThrottlingException'],
    ['error-content-3; reason=overloaded', 'ServiceUnavailableException'],
  ] as const) {
    assert.equal((await errorOf(converseStream(clientOf(fault)))).name, name);
  }
  for (const fault of ['cut-3', 'cut-event-3', 'cut-reset-3', 'malformed-3', 'reset']) {
    await assert.rejects(converseStream(clientOf(fault)), Error, fault);
  }
  const events = await converseStream(clientOf('no-end'));
  assert.ok(events.every(({ messageStop, metadata }) => messageStop === undefined && metadata === undefined));
});

test('the key is a bearer key or the access key id of a signature', async () => {
  await using strict = await openStorm({ apiKeys: ['AKID', 'bearer'] });
  assert.ok((await clientOf(undefined, 'AKID', strict).send(new ConverseCommand(ASKED))).output);
  assert.equal((await errorOf(clientOf(undefined, 'OTHER', strict).send(new ConverseCommand(ASKED)))).name, 'UnrecognizedClientException');
  const response = await fetch(`http://127.0.0.1:${strict.port}/model/m/converse`, {
    method: 'POST',
    headers: { authorization: 'Bearer bearer' },
    body: JSON.stringify({ messages: ASKED.messages }),
  });
  assert.equal(response.status, 200);
});
