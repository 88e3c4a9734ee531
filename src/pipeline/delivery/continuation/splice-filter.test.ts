import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DeliveredText } from '../../../wire/openai-chat/continuation-text.ts';
import { SpliceFilter } from './splice-filter.ts';

/** Counts how often all that was told is read. */
class CountedText extends DeliveredText {
  looks = 0;

  override get text(): string {
    this.looks++;
    return super.text;
  }
}

const chunk = (value: object) => Buffer.from(`data: ${JSON.stringify({ id: 'c', ...value })}\n\n`);
const says = (content: string) => chunk({ choices: [{ index: 0, delta: { content } }] });

const TOLD = 'A harbour protects ships from the waves of the open sea, and it needs this program:\n\n```ts\n';

function start(): { told: CountedText; seam: SpliceFilter } {
  const told = new CountedText();
  told.read([says(TOLD)]);
  return { told, seam: new SpliceFilter(told, () => [['en', 1]], () => Buffer.from(': joined\n\n')) }; // prettier-ignore
}

describe('what should continue an answer', () => {
  it('is looked at now and then while nothing can be said of it, not with every word', () => {
    const { told, seam } = start();
    let words = 0;
    while (seam.pass([says(`f${words}(${words * 7}); `)]).length === 0) words++;
    assert.ok(words > 150, `${words} words`);
    assert.ok(told.looks < 20, `${told.looks} looks`);
  });

  it('is refused where it never comes to a word', () => {
    const { seam } = start();
    const bare = chunk({ choices: [], padding: 'x'.repeat(64 * 1024) });
    let chunks = 0;
    while (seam.refused === null && chunks < 1000) chunks += seam.pass([bare]).length + 1;
    assert.equal(seam.refused, 'nothing');
    assert.ok(chunks <= 65, `${chunks} chunks`);
  });
});
