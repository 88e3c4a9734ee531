/** Opaque pieces of Responses and Gemini. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, it } from 'node:test';
import type { ResponseFacts } from '../../core/facts.ts';
import { encodeRequest } from '../edit-request.ts';
import { geminiOpaque, noteChunk } from '../gemini/opaque.ts';
import { scanObject } from '../json-scan.ts';
import { noteItem, noteResponse, responsesOpaque } from '../openai-responses/opaque.ts';
import type { RequestBody } from '../request-body.ts';
import { cutsOf, opaqueId, UNREADABLE, UNSIGNED_CALL } from './opaque.ts';
import type { OpaqueForms, OpaquePiece } from './opaque.ts';

function bodyOf(value: unknown): RequestBody {
  const bytes = Buffer.from(JSON.stringify(value));
  const scan = scanObject(bytes);
  assert.ok(scan.ok);
  return { bytes, members: scan.members, values: scan.values, opaque: scan.opaque, contentType: null, passed: null };
}

const summary = (pieces: readonly OpaquePiece[]): string[] => pieces.map(({ kind, field, id }) => `${kind} ${field} ${id}`);

function without(forms: OpaqueForms, value: object): unknown {
  const body = bodyOf({ model: 'm', ...value });
  const cuts = cutsOf(forms.find(body).pieces, 'm');
  const { model: _model, ...left } = JSON.parse(Buffer.from(encodeRequest(body, { model: 'm', cuts })).toString()) as Record<
    string,
    unknown
  >;
  return left;
}

const noFacts = (): ResponseFacts => ({ model: null, usage: null, finishReason: null, hasContent: false });

describe('opaque pieces of Responses', () => {
  const message = { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'hi' }] };
  const call = { type: 'function_call', call_id: 'c', name: 'f', arguments: '{}' };

  it('are encrypted reasoning, and ids of objects in one account', () => {
    const body = bodyOf({
      previous_response_id: 'resp_1',
      conversation: { id: 'conv_1' },
      tools: [
        { type: 'code_interpreter', container: 'cntr_1' },
        { type: 'file_search', vector_store_ids: ['vs_1'] },
      ],
      input: [
        { type: 'reasoning', id: 'rs_1', summary: [], encrypted_content: 'a' },
        { type: 'compaction', encrypted_content: 'b' },
        { type: 'item_reference', id: 'msg_1' },
        { role: 'user', content: [{ type: 'input_file', file_id: 'file_1' }] },
      ],
    });
    assert.equal(body.opaque, true);
    assert.deepEqual(summary(responsesOpaque.find(body).pieces), [
      `state previous_response_id ${opaqueId('resp_1')}`,
      `state conversation ${opaqueId('conv_1')}`,
      `state container ${opaqueId('cntr_1')}`,
      `state vector_store_ids ${opaqueId('vs_1')}`,
      `reasoning encrypted_content ${opaqueId('a')}`,
      `state compaction ${opaqueId('b')}`,
      `state item_reference ${opaqueId('msg_1')}`,
      `state file_id ${opaqueId('file_1')}`,
    ]);
    assert.deepEqual([responsesOpaque.holdsResponse(body), responsesOpaque.holdsResponse(bodyOf({ store: false }))], [true, false]);
    assert.equal(bodyOf({ input: [message] }).opaque, false);
    assert.deepEqual(
      responsesOpaque.find(bodyOf({ input: 'text', conversation: 'conv_2' })).pieces.map(({ id }) => id),
      [opaqueId('conv_2')],
    );
  });

  it('are removed together with their items', () => {
    const reasoning = (data: string) => ({
      type: 'reasoning',
      id: `rs_${data}`,
      summary: [{ type: 'summary_text', text: 'hm' }],
      encrypted_content: data,
    });
    assert.deepEqual(without(responsesOpaque, { input: [reasoning('a'), message, reasoning('b'), call, reasoning('c')] }), {
      input: [message, call],
    });
  });

  it('are found in responses and their items', () => {
    const facts = noFacts();
    const item = { type: 'reasoning', id: 'rs_1', encrypted_content: 'a' };
    noteResponse(facts, { id: 'resp_1', output: [item] });
    assert.deepEqual([facts.responseId, facts.opaque], ['resp_1', [opaqueId('a')]]);
    const streamed = noFacts();
    noteItem(streamed, item);
    assert.deepEqual(streamed.opaque, facts.opaque);
    noteItem(streamed, { type: 'reasoning', id: 'rs_2' });
    assert.deepEqual(streamed.opaque, ['a', 'rs_2'].map(opaqueId));
  });

  it('are ids of reasoning that the provider stores; reasoning of another dialect is unreadable', () => {
    const input = ['rs_1', 'rs_breakwater_1'].map((id) => ({ type: 'reasoning', id, summary: [] }));
    assert.deepEqual(
      responsesOpaque.find(bodyOf({ conversation: 'c', input })).pieces.map(({ id }) => id),
      ['c', 'rs_1'].map(opaqueId).concat(UNREADABLE),
    );
  });
});

describe('opaque pieces of Gemini', () => {
  const call = (signature: string) => ({ functionCall: { name: 'f', args: {} }, thoughtSignature: signature });

  it('are thought signatures, uploads and cached contents', () => {
    const upload = 'https://generativelanguage.googleapis.com/v1beta/files/abc';
    const body = bodyOf({
      cachedContent: 'cachedContents/1',
      contents: [
        { role: 'user', parts: [{ fileData: { fileUri: upload } }, { fileData: { fileUri: 'https://youtu.be/x' } }] },
        { role: 'model', parts: [{ text: 'hm', thoughtSignature: 'a' }, call('b')] },
      ],
    });
    assert.equal(body.opaque, true);
    assert.deepEqual(summary(geminiOpaque.find(body).pieces), [
      `state cachedContent ${opaqueId('cachedContents/1')}`,
      `state fileUri ${opaqueId(upload)}`,
      `signature thoughtSignature ${opaqueId('a')}`,
      `signature thoughtSignature ${opaqueId('b')}`,
    ]);
  });

  it('are removed from text and calls, and a call keeps a signature', () => {
    const contents = [
      { role: 'model', parts: [{ text: 'hm', thoughtSignature: 'a' }, call('b')] },
      { role: 'model', parts: [{ text: 'yes' }, { text: '', thoughtSignature: 'c' }] },
      { role: 'model', parts: [{ thoughtSignature: 'd' }] },
    ];
    assert.deepEqual(without(geminiOpaque, { contents }), {
      contents: [
        { role: 'model', parts: [{ text: 'hm' }, call('skip_thought_signature_validator')] },
        { role: 'model', parts: [{ text: 'yes' }] },
      ],
    });
  });

  it('are added to a call without one only if required', () => {
    const contents = [{ role: 'model', parts: [{ functionCall: { name: 'f', args: {} } }, { functionCall: { name: 'g', args: {} } }] }];
    const body = bodyOf({ contents, model: 'm' });
    const { pieces } = geminiOpaque.find(body);
    assert.deepEqual(
      pieces.map(({ id, slot }) => [id, slot]),
      [[UNSIGNED_CALL, null]],
    );
    const sent = JSON.parse(Buffer.from(encodeRequest(body, { model: 'm', cuts: cutsOf(pieces, 'm') })).toString()) as {
      contents: [{ parts: unknown[] }];
    };
    assert.deepEqual(sent.contents[0].parts, [call('skip_thought_signature_validator'), contents[0]!.parts[1]]);
  });

  it('are found in responses', () => {
    const facts = noFacts();
    noteChunk(facts, { candidates: [{ content: { parts: [{ text: 'x' }, call('b')] } }] });
    assert.deepEqual(facts.opaque, [opaqueId('b')]);
  });
});
