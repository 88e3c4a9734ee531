/** Responses conversations with encrypted reasoning that move between keys, providers and dialects, against Storm, which seals for each key and model. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { startStorm } from '../../src/storm/index.ts';
import { startGateway } from './harness.ts';

type Item = Record<string, unknown>;

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers: Headers;
  readonly output: readonly Item[];
}

const user = (text: string): Item => ({ type: 'message', role: 'user', content: [{ type: 'input_text', text }] });

async function ask(gateway: { fetch: typeof fetch }, body: Record<string, unknown>): Promise<Answer> {
  const response = await gateway.fetch('http://breakwater/v1/responses', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, text, headers: response.headers, output: response.status === 200 ? outputOf(text) : [] };
}

function outputOf(text: string): readonly Item[] {
  if (text.startsWith('{')) return (JSON.parse(text) as { output: Item[] }).output;
  const events = text
    .split('\n')
    .filter((line) => line.startsWith('data: {'))
    .map((line) => JSON.parse(line.slice(6)) as { type: string; item: Item });
  return events.filter(({ type }) => type === 'response.output_item.done').map(({ item }) => item);
}

describe('a Responses conversation with reasoning', { concurrency: 2 }, () => {
  for (const stream of [false, true]) {
    for (const store of [false, true]) {
      it(`goes through twenty turns at two keys, another provider, Messages and chat, ${stream ? 'streamed' : 'in one piece'}, ${store ? 'stored' : 'encrypted'}`, async (t) => {
        const storms = await Promise.all(['a', 'b', 'm'].map((name) => startStorm({ name })));
        t.after(() => Promise.all(storms.map((storm) => storm.close())));
        const at = (i: number, protocol: 'anthropic' | 'openai', apiKey: string) => ({ protocol, baseUrl: storms[i]!.url, apiKey });
        const gateway = await startGateway({
          providers: {
            first: at(0, 'openai', 'sk-first-key-0001'),
            second: at(0, 'openai', 'sk-second-key-0002'),
            other: at(1, 'openai', 'sk-third-key-0003'),
            messages: at(2, 'anthropic', 'sk-fourth-key-0004'),
          },
        });
        t.after(() => gateway.close());
        const input: Item[] = [];
        const models = ['first/gpt-5', 'second/gpt-5', 'other/gpt-5', 'messages/claude-sonnet-4-6', 'first/gpt-5-mini'];
        for (let i = 0; i < 20; i++) {
          input.push(user(`question ${i}`));
          const include = store ? {} : { include: ['reasoning.encrypted_content'] };
          const answer = await ask(gateway, {
            model: models[i % models.length],
            input,
            stream,
            store,
            reasoning: { effort: 'high', summary: 'auto' },
            ...include,
          });
          assert.equal(answer.status, 200, `turn ${i}: ${answer.text}`);
          assert.equal(answer.headers.get('x-breakwater-attempts'), '1', `turn ${i}`);
          assert.ok(
            answer.output.some(({ type }) => type === 'reasoning'),
            `turn ${i} reasons`,
          );
          if (i > 0)
            assert.ok(
              answer.headers.get('x-breakwater-dropped')?.includes(store || i % 5 === 3 ? 'reasoning' : 'encrypted_content'),
              `turn ${i}: ${answer.headers.get('x-breakwater-dropped')}`,
            );
          input.push(...answer.output);
        }
        assert.deepEqual(
          storms.map((storm) => storm.stats().calls),
          [12, 4, 4],
        );
      });
    }
  }

  it('goes on where an agent kept the reasoning of a stream that broke off', async (t) => {
    const storm = await startStorm({ name: 'a', keepBodies: 4, faults: [{ kind: 'cut', calls: [2] }] });
    t.after(() => storm.close());
    const gateway = await startGateway({ providers: { first: { baseUrl: storm.url, apiKey: 'sk-first-key-0001' } } });
    t.after(() => gateway.close());
    const input: Item[] = [user('one')];
    const body = { model: 'first/gpt-5', input, store: false, include: ['reasoning.encrypted_content'], stream: true };
    input.push(...(await ask(gateway, body)).output, user('two'));
    const cut = await ask(gateway, body);
    assert.deepEqual(
      cut.output.map(({ type }) => type),
      ['reasoning'],
    );
    input.push(...cut.output);
    const seen = await ask(gateway, body);
    assert.deepEqual([seen.status, seen.headers.get('x-breakwater-attempts')], [200, '2'], seen.text);
    assert.equal(seen.headers.get('x-breakwater-dropped'), 'encrypted_content');
    assert.equal(storm.stats().calls, 4);
    const sent = (JSON.parse(storm.stats().log.at(-1)!.body!.toString()) as { input: Item[] }).input;
    assert.deepEqual(sent, input.slice(0, -1), 'the other reasoning stays');
  });
});
