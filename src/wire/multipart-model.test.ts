import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import { findModel, replaceModel } from './multipart-model.ts';

const JSON_TYPE = 'application/json; charset=utf-8';
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

function part(headers: string, content: string): string {
  return `--XX\r\nContent-Disposition: form-data; ${headers}\r\n\r\n${content}\r\n`;
}

const file = part('name="file"; filename="a.wav"\r\nContent-Type: audio/wav', 'RIFF\r\n\r\nname="model"\r\n--X\u0000\u00ff');
const TYPE = 'multipart/form-data; boundary=XX';

test('finds and replaces the model of a JSON body, with no other change', () => {
  const body = Buffer.from('{"input":"é", "model" : "a/tts","x":1}');
  for (const type of [JSON_TYPE, null]) {
    assert.equal(findModel(type, body), 'a/tts');
    assert.equal(Buffer.from(replaceModel(type, body, 'tts-1')).toString(), '{"input":"é", "model" : "tts-1","x":1}');
  }
  assert.equal(replaceModel(JSON_TYPE, body, 'a/tts'), body);
});

test('gives null for bodies that name no model, or two', () => {
  for (const body of ['{}', '{"model":5}', '{"model":""}', '{"model":"a","model":"b"}', '[]', 'x', '']) {
    assert.equal(findModel(JSON_TYPE, Buffer.from(body)), null, body);
    assert.equal(text(replaceModel(JSON_TYPE, Buffer.from(body), 'm')), body);
  }
  const two = Buffer.from(`${part('name="model"', 'a')}${part('name="model"', 'b')}--XX--\r\n`);
  assert.equal(findModel(TYPE, two), null);
});

test('finds and replaces the model field of a multipart body, before or after the file, with no other change', () => {
  const field = part('name="model"', 'a/whisper');
  for (const body of [`${field}${file}--XX--\r\n`, `${file}${field}--XX--`, `preamble\r\n${file}${field}--XX--\r\n`]) {
    const bytes = Buffer.from(body, 'latin1');
    assert.equal(findModel(TYPE, bytes), 'a/whisper');
    assert.equal(text(replaceModel(TYPE, bytes, 'whisper-1')), body.replace('a/whisper', 'whisper-1'));
  }
});

test('knows the ways to write a boundary and a field name', () => {
  const body = (name: string): Buffer => Buffer.from(`${part(name, 'w')}--XX--\r\n`);
  for (const type of [
    'multipart/form-data; boundary="XX"',
    'Multipart/Form-Data; charset=utf-8; Boundary=XX',
    'multipart/form-data;boundary=XX;x=y',
  ]) {
    assert.equal(findModel(type, body('name="model"')), 'w', type);
  }
  assert.equal(findModel(TYPE, body('name=model')), 'w');
  assert.equal(
    findModel(TYPE, Buffer.from('--XX\r\ncontent-type: text/plain\r\ncontent-disposition: form-data; name="model"\r\n\r\nw\r\n--XX--')),
    'w',
  );
  for (const name of ['name="models"', 'name="model"; filename="model"', 'name="x"; other="model"'])
    assert.equal(findModel(TYPE, body(name)), null, name);
});

test('gives null for multipart bodies that are broken', () => {
  const whole = `${file}${part('name="model"', 'w')}--XX--\r\n`;
  for (let cut = 0; cut < whole.length - 6; cut++)
    assert.equal(findModel(TYPE, Buffer.from(whole.slice(0, cut), 'latin1')), null, `${cut}`);
  assert.equal(findModel('multipart/form-data', Buffer.from(whole)), null);
});

test('gives null where readers may differ about what is a part', () => {
  const field = part('name="model"', 'w');
  const hidden = '--XX\nContent-Disposition: form-data; name="model"\n\nother\n';
  for (const body of [`${field}${part('name="x"', `a\n${hidden}`)}--XX--`, `${field}--XXY\r\n\r\n\r\n--XX--`]) {
    assert.equal(findModel(TYPE, Buffer.from(body)), null);
  }
});

test('a model name cannot forge a part', () => {
  const bytes = Buffer.from(`${part('name="model"', 'w')}--XX--\r\n`);
  assert.equal(findModel(TYPE, replaceModel(TYPE, bytes, 'a\r\nb')), 'ab');
});
