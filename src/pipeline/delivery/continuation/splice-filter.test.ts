import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DeliveredText } from '../../../wire/openai-chat/continuation-text.ts';
import { SpliceFilter } from './splice-filter.ts';

/** Counts how often the delivered text is read. */
class CountedText extends DeliveredText {
  reads = 0;

  override get text(): string {
    this.reads++;
    return super.text;
  }
}

const chunk = (value: object) => Buffer.from(`data: ${JSON.stringify({ id: 'c', ...value })}\n\n`);
const says = (content: string) => chunk({ choices: [{ index: 0, delta: { content } }] });

const DELIVERED = 'A harbour protects ships from the waves of the open sea, and it needs this program:\n\n```ts\n';

function start(): { delivered: CountedText; filter: SpliceFilter } {
  const delivered = new CountedText();
  delivered.read([says(DELIVERED)]);
  return { delivered, filter: new SpliceFilter(delivered, () => [['en', 1]], () => Buffer.from(': joined\n\n')) }; // prettier-ignore
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
});
