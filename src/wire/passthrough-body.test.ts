import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, it, test } from 'node:test';
import fc from 'fast-check';
import { PassthroughScan, replaceModel, type PassthroughResult } from './passthrough-body.ts';

const JSON_TYPE = 'application/json; charset=utf-8';
const TYPE = 'multipart/form-data; boundary=XX';

function read(type: string | null, body: string | Uint8Array): PassthroughResult {
  const scan = new PassthroughScan(type, typeof body === 'string' ? Buffer.from(body, 'latin1') : body);
  while (!scan.step());
  return scan.take();
}

/** The model; null: the body names none, or is refused. */
function modelOf(type: string | null, body: string | Uint8Array): string | null {
  const found = read(type, body);
  return found.ok ? (found.passed.model?.name ?? null) : null;
}

function replaced(type: string | null, body: string, model: string): string {
  const bytes = Buffer.from(body, 'latin1');
  const found = read(type, bytes);
  assert.ok(found.ok, JSON.stringify(found));
  const sent = replaceModel({ bytes, members: [], values: 0, contentType: type, passed: found.passed }, model);
  return Buffer.from(sent instanceof Uint8Array ? sent : Buffer.concat(sent)).toString('latin1');
}

function part(headers: string, content: string): string {
  return `--XX\r\nContent-Disposition: form-data; ${headers}\r\n\r\n${content}\r\n`;
}

const file = part('name="file"; filename="a.wav"\r\nContent-Type: audio/wav', 'RIFF\r\n\r\nname="model"\r\n--X\u0000\u00ff');
const field = part('name="model"', 'w');
const END = '--XX--\r\n';

describe('the model of a JSON body', () => {
  it('is found and replaced, with no other change', () => {
    const body = '{"input":"e", "model" : "a/tts","x":1}';
    for (const type of [JSON_TYPE, null]) {
      assert.equal(modelOf(type, body), 'a/tts');
      assert.equal(replaced(type, body, 'tts-1'), '{"input":"e", "model" : "tts-1","x":1}');
      assert.equal(replaced(type, body, 'a/tts'), body);
    }
  });

  it('is absent if the body names none', () => {
    const found = read(JSON_TYPE, '{}');
    assert.ok(found.ok && found.passed.model === null);
  });

  for (const body of ['{"model":5}', '{"model":""}', '{"model":"a","model":"b"}', '{"model":"a","mod\\u0065l":"b"}', '[]', 'x', '']) {
    it(`is refused in ${body || 'nothing'}`, () => assert.equal(read(JSON_TYPE, body).ok, false));
  }

  for (const name of ['Model', 'MODEL', 'mod\\u0045l']) {
    it(`is refused beside ${name}, which some parsers take for it`, () => {
      assert.equal(read(JSON_TYPE, `{"model":"a","${name}":"b"}`).ok, false);
      assert.equal(read(JSON_TYPE, `{"${name}":"b"}`).ok, false);
    });
  }

  it('is refused in any character set but UTF-8', () => {
    assert.equal(read('application/json; charset=utf-16', '{"model":"a"}').ok, false);
  });
});

describe('the model field of a multipart body', () => {
  it('is found and replaced before or after the file, with no other change', () => {
    const own = part('name="model"', 'a/whisper');
    for (const body of [`${own}${file}${END}`, `${file}${own}--XX--`, `${own}${file}${part('name="x"', '')}${END}`]) {
      assert.equal(modelOf(TYPE, body), 'a/whisper');
      assert.equal(replaced(TYPE, body, 'whisper-1'), body.replace('a/whisper', 'whisper-1'));
    }
  });

  it('is found however a client writes boundary and names', () => {
    for (const type of [
      'multipart/form-data; boundary="XX"',
      'Multipart/Form-Data; charset=utf-8; Boundary=XX',
      'multipart/form-data;boundary=XX;x=y',
    ]) {
      assert.equal(modelOf(type, `${field}${END}`), 'w', type);
    }
    for (const header of ['name="model"', 'name=model']) assert.equal(modelOf(TYPE, `${part(header, 'w')}${END}`), 'w', header);
    const lower = '--XX\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-disposition: form-data; name="model"\r\n\r\nw\r\n--XX--';
    assert.equal(modelOf(TYPE, lower), 'w');
    const utf8 = Buffer.from(`${part('name="file"; filename="größe.wav"; filename*=UTF-8\'\'gr%C3%B6%C3%9Fe.wav', 'x')}${field}${END}`);
    assert.equal(modelOf(TYPE, utf8), 'w');
  });

  it('is missing or refused wherever the body is cut', () => {
    const whole = `${file}${field}${END}`;
    for (let cut = 0; cut < whole.length - 2; cut++) {
      if (cut === whole.length - 2) continue;
      assert.equal(modelOf(TYPE, whole.slice(0, cut)), null, `${cut}`);
    }
  });

  it('cannot forge a part', () => {
    const bytes = Buffer.from(`${field}${END}`);
    const found = read(TYPE, bytes);
    assert.ok(found.ok);
    const sent = replaceModel({ bytes, members: [], values: 0, contentType: TYPE, passed: found.passed }, 'a\r\nb');
    assert.equal(modelOf(TYPE, Buffer.concat(sent as Uint8Array[])), 'ab');
  });

  it('is found in whatever window of the search its boundary is', () => {
    for (const length of [65_520, 65_530, 65_531, 65_532, 65_533, 65_534, 65_535, 65_536, 65_537, 131_070]) {
      const body = `${part('name="file"; filename="a"', 'x'.repeat(length))}${field}${END}`;
      assert.equal(modelOf(TYPE, body), 'w', `${length}`);
    }
  });
});

describe('a multipart body that parsers may read differently is refused', () => {
  const hidden = (name: string): string => part(name, 'other');
  const cases: Readonly<Record<string, string>> = {
    'a preamble': `preamble\r\n${field}${END}`,
    'a preamble with a boundary of its own': `\r\n--XX\nContent-Disposition: form-data; name="model"\n\nother\n${field}${END}`,
    'an epilogue': `${field}${END}${hidden('name="model"')}${END}`,
    'two models': `${field}${hidden('name="model"')}${END}`,
    'a model with a file name': `${field}${hidden('name="model"; filename="x"')}${END}`,
    'a model with an empty file name': `${field}${hidden('name="model"; filename=""')}${END}`,
    'a model with an extended file name': `${field}${hidden('name="model"; filename*=utf-8\'\'x')}${END}`,
    'an extended name': `${field}${hidden("name*=utf-8''model")}${END}`,
    'an extended name beside a normal one': `${field}${hidden('name="x"; name*=utf-8\'\'model')}${END}`,
    'a continued name': `${field}${hidden('name*0=mod; name*1=el')}${END}`,
    'two names': `${field}${hidden('name="x"; name="model"')}${END}`,
    'another parameter': `${field}${hidden('name="x"; other="model"')}${END}`,
    'a folded header': `${field}--XX\r\nContent-Disposition: form-data;\r\n name="model"\r\n\r\nother\r\n${END}`,
    'a second disposition': `${field}--XX\r\nContent-Disposition: form-data; name="x"\r\nContent-Disposition: form-data; name="model"\r\n\r\nother\r\n${END}`,
    'no disposition': `${field}--XX\r\nContent-Type: text/plain\r\n\r\nother\r\n${END}`,
    'no headers': `${field}--XX\r\n\r\nother\r\n${END}`,
    'a blank before the colon': `${field}--XX\r\nContent-Disposition : form-data; name="model"\r\n\r\nother\r\n${END}`,
    'another disposition': `${field}--XX\r\nContent-Disposition: attachment; name="model"\r\n\r\nother\r\n${END}`,
    'an escaped quote': `${field}${hidden('name="x\\"; name=\\"model"')}${END}`,
    'line feeds alone': `${field}${part('name="x"', 'a\n--XX\nContent-Disposition: form-data; name="model"\n\nother')}${END}`,
    'carriage returns alone': `${field}${part('name="x"', 'a\r--XX\rContent-Disposition: form-data; name="model"\r\rother')}${END}`,
    'a header line that ends in a line feed': `${field}--XX\r\nX: y\nContent-Disposition: form-data; name="model"\r\n\r\nother\r\n${END}`,
    'blanks after a boundary': `${field}--XX \r\nContent-Disposition: form-data; name="model"\r\n\r\nother\r\n${END}`,
    'a longer boundary': `${field}--XXY\r\n\r\n\r\n--XX--`,
    'a part whose headers end where the next boundary begins': `${field}--XX\r\nContent-Disposition: form-data; name="x"\r\n\r\n--XX\r\nContent-Disposition: form-data; name="model"\r\n\r\nother\r\n${END}`,
    'a transfer encoding': `${part('name="model"\r\nContent-Transfer-Encoding: quoted-printable', 'exp=65nsive')}${END}`,
    'a name in capitals': `${field}${hidden('name="Model"')}${END}`,
    'a name with a blank': `${field}${hidden('name=" model"')}${END}`,
    'a name with brackets': `${field}${hidden('name="model[]"')}${END}`,
    'a name with percent signs': `${field}${hidden('name="mod%65l"')}${END}`,
    'an encoded word': `${field}${hidden('name="=?utf-8?q?model?="')}${END}`,
    'a character set for all fields': `${field}${part('name="_charset_"', 'utf-16')}${END}`,
    'a model in another character set': `${part('name="model"\r\nContent-Type: text/plain; charset=utf-7', 'w')}${END}`,
    'a zero byte in a header': `${field}${hidden('name="x\u0000"')}${END}`,
    'no part that ends': `${field}--XX\r\nContent-Disposition: form-data; name="x"\r\n\r\nother`,
    'endless headers': `--XX\r\nX: ${'y'.repeat(20_000)}\r\n\r\n\r\n${field}${END}`,
  };
  for (const [name, body] of Object.entries(cases)) {
    it(name, () => {
      const found = read(TYPE, body);
      assert.equal(found.ok, false);
      assert.match(found.ok ? '' : found.message, /^.{10,200}\.$/);
    });
  }

  const types = [
    'multipart/form-data',
    'multipart/form-data; boundary=',
    'multipart/form-data; boundary=XX; boundary=YY',
    "multipart/form-data; boundary*=utf-8''XX",
    'multipart/form-data; boundary*0=X; boundary*1=X',
    'multipart/form-data; boundary="X\\X"',
    'multipart/form-data; boundary=X X',
    'multipart/form-data; boundary=XX, multipart/form-data; boundary=YY',
    'multipart/mixed; boundary=XX',
    'multipart/form-data; boundary="XX "',
  ];
  for (const type of types) it(`content type ${type}`, () => assert.equal(read(type, `${field}${END}`).ok, false));
});

test('other fields that name a model are collected', () => {
  const found = read(TYPE, `${field}${part('name="models"', '["x"]')}${part('name="fallbacks"', 'y')}${part('name="prompt"', 'z')}${END}`);
  assert.ok(found.ok);
  assert.deepEqual(found.others().names, ['["x"]', 'y']);
});

test('the content of a file can neither add nor hide a part', () => {
  const piece = fc.constantFrom(
    '\r\n',
    '\n',
    '\r',
    '--',
    '--X',
    'XX',
    '-',
    'Content-Disposition: form-data; name="model"',
    '\r\n\r\n',
    'a',
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const found = read(TYPE, `${part('name="file"; filename="a"', pieces.join(''))}${field}${END}`);
      if (!found.ok) return;
      assert.equal(found.passed.parts?.length, 2);
      assert.equal(found.passed.model?.name, 'w');
    }),
    { numRuns: 2000 },
  );
});
