import assert from 'node:assert/strict';
import { test } from 'node:test';
import { textToSummarize } from './text-to-summarize.ts';

const article = 'The harbour is large. It handles much cargo.\nShips come every day.';
const user = (content: string) => ({ role: 'user', content });

test('the instruction to summarize is removed, in many languages', () => {
  for (const wish of [
    'Summarize this article in one paragraph:',
    'Please write a short summary of the following text.',
    'tl;dr',
    'Fasse den folgenden Artikel in drei Sätzen zusammen:',
    'Résume ce texte :',
    'Resume este artículo en un párrafo.',
    '以下の記事を要約してください。',
    '请总结下面的文章：',
  ]) {
    assert.equal(textToSummarize([user(`${wish}\n\n${article}`)]), article, wish);
    assert.equal(textToSummarize([user(`${article}\n\n${wish}`)]), article, wish);
  }
  assert.equal(textToSummarize([user('Summarize: The harbour is large. It is old.')]), 'The harbour is large. It is old.');
});

test('a text that mentions summaries is unchanged', () => {
  const text = `${'The committee met on Monday and read the summary of the year, which was long and full of figures. '.repeat(6)}\nIt then went home.`;
  assert.equal(textToSummarize([user(text)]), text.trim());
});

test('a last message that is only an instruction refers to the one before', () => {
  const conversation = [user(article), { role: 'assistant', content: 'I have read it.' }, user('Now summarize that in two sentences.')];
  assert.equal(textToSummarize(conversation), article);
  assert.equal(textToSummarize([{ role: 'system', content: 'You summarize.' }, user(article)]), article);
});

test('no text gives an empty result', () => {
  assert.equal(textToSummarize([]), '');
  assert.equal(textToSummarize([user('  ')]), '');
  assert.equal(textToSummarize([user('Summarize!')]), 'Summarize!');
});
