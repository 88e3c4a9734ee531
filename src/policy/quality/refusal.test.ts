import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isRefusal, mayBeRefusal } from './refusal.ts';

const REFUSALS = [
  "I'm sorry, I can't assist with that.",
  "I'm sorry, but I can't help with that request.",
  'I’m sorry, but I cannot comply with that.',
  'Sorry, I can’t help with that.',
  "I can't help with that.",
  'I cannot provide instructions for that.',
  'I am unable to assist you with this request.',
  "I'm not able to help with creating that.",
  "I won't write that for you.",
  'I must decline to answer this.',
  "I don't feel comfortable writing this story.",
  'Unfortunately, I cannot fulfill this request.',
  'I apologize, but I cannot generate that content.',
  'As an AI language model, I cannot provide medical advice.',
  "As an AI, I'm unable to do that.",
  'Sorry, but your request violates our content policy.',
  '**I’m sorry**, but I can’t help with that.',
  '"I\'m sorry, but I can\'t do that."',
  "  \n I'm really sorry, but I can't continue this conversation.",
  'Es tut mir leid, aber dabei kann ich nicht helfen.',
  'Leider kann ich diese Anfrage nicht beantworten.',
  'Désolé, je ne peux pas vous aider avec cela.',
  'Lo siento, pero no puedo ayudarte con eso.',
  'Mi dispiace, ma non posso aiutarti.',
  'Desculpe, mas não posso ajudar com isso.',
  '很抱歉，我无法提供这方面的帮助。',
  '申し訳ありませんが、そのご要望にはお応えできません。',
];

const ANSWERS = [
  '',
  'Here is the summary you asked for.',
  "I'm sorry to hear that! Here are three things that may help you.",
  'Sorry for the confusion. The right answer is 42.',
  "Unfortunately, the storm destroyed the harbour, and the fishermen couldn't leave for a month.",
  "I can't stress enough how important it is to back up your data.",
  "I can't wait to tell you about this harbour.",
  'I cannot recommend this book highly enough.',
  'The model answered: "I\'m sorry, I can\'t assist with that."',
  'He said he was sorry, but he could not help.',
  'As an AI company, Acme sells chips to hospitals. It cannot export them.',
  "I won't lie: the first year was hard.",
  'I am afraid of storms, the boy said.',
  'We cannot see the wind, but we see what it moves.',
  "We can't change the past.",
  'Sorry seems to be the hardest word.',
  'Unfortunately, I am unable to attend the meeting on Friday.',
  'I am unable to sleep, wrote the captain.',
  'Unfortunately, we cannot offer you the position.',
  "I won't be able to forget that storm.",
  'Leider regnet es morgen, aber am Sonntag scheint die Sonne.',
  '很抱歉让您久等了，以下是总结。',
  '{"answer": "I can\'t help with that."}',
];

describe('a refusal is recognised by its opening', () => {
  for (const text of REFUSALS) test(text.trim(), () => assert.equal(isRefusal(text), true));
});

describe('a normal response is no refusal', () => {
  for (const text of ANSWERS) test(text === '' ? 'nothing' : text, () => assert.equal(isRefusal(text), false));
});

test('any text may be a refusal from its first letter on', () => {
  for (const text of REFUSALS)
    for (let end = 0; end <= text.length; end++) assert.equal(mayBeRefusal(text.slice(0, end)), true, text.slice(0, end));
});

test('most responses are recognised as no refusal after a few letters', () => {
  for (const [text, letters] of [
    ['Here is the summary', 4],
    ['The model answered', 3],
    ['{"answer": 1}', 1],
    ['1. First', 1],
  ] as const) {
    assert.equal(mayBeRefusal(text.slice(0, letters)), false, text);
  }
});

test('an opening that never becomes a refusal is none once there is enough of it', () => {
  assert.equal(mayBeRefusal(`I'm sorry to hear that. ${'Here is what may help you. '.repeat(12)}`), false);
});

test('a text of any length is decided at once', () => {
  const started = process.cpuUsage();
  for (const text of ["I'm sorry".repeat(1_000_000), ' '.repeat(5_000_000), `as an ai ${'a '.repeat(2_000_000)}`]) isRefusal(text);
  assert.ok(process.cpuUsage(started).user < 500_000);
});
