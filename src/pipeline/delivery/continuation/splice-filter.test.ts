import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DeliveredStream } from '../../../wire/delivered-stream.ts';
import { SpliceFilter } from './splice-filter.ts';

const OPTIONS = { id: 'r', model: 'm', createdAt: 9, includeUsage: false, tools: [], echo: {} };

/** Counts how often the delivered text is read. */
class CountedStream extends DeliveredStream {
  reads = 0;

  override get text(): string {
    this.reads++;
    return super.text;
  }
}

const chunk = (value: object) => Buffer.from(`data: ${JSON.stringify({ id: 'c', ...value })}\n\n`);
const says = (content: string) => chunk({ choices: [{ index: 0, delta: { content } }] });

const DELIVERED = 'A harbour protects ships from the waves of the open sea, and it needs this program:\n\n```ts\n';

function start(): { delivered: CountedStream; filter: SpliceFilter } {
  const delivered = new CountedStream('openai-chat', OPTIONS);
  delivered.read([says(DELIVERED)]);
  return { delivered, filter: new SpliceFilter(delivered, 'openai-chat', () => Buffer.from(': joined\n\n')) };
}

describe('a continuation', () => {
  it('is checked at intervals while undecided, not with every chunk', () => {
    const { delivered, filter } = start();
    let words = 0;
    while (filter.pass([says(`f${words}(${words * 7}); `)]).length === 0) words++;
    assert.ok(words > 150, `${words} words`);
    assert.ok(delivered.reads < 20, `${delivered.reads} reads`);
  });

  it('is refused if it has no text', () => {
    const { filter } = start();
    const bare = chunk({ choices: [], padding: 'x'.repeat(64 * 1024) });
    let chunks = 0;
    while (filter.refused === null && chunks < 1000) chunks += filter.pass([bare]).length + 1;
    assert.equal(filter.refused, 'nothing');
    assert.ok(chunks <= 65, `${chunks} chunks`);
  });

  it('ends undecided: it adds nothing', () => {
    const { filter } = start();
    assert.deepEqual(filter.end(), []);
    assert.equal(filter.refused, 'nothing');
  });
});
