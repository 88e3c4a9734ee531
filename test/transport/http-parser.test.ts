import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import type { BindingClass } from '../../src/transport/http-parser-binding.ts';
import { passesTrial } from '../../src/transport/http-parser-trial.ts';
import { loadHttpParser } from '../../src/transport/http-parser.ts';

const { HTTPParser } = createRequire(import.meta.url)('_http_common') as { HTTPParser: BindingClass & { readonly kLenientAll: number } };

test('the parser of this Node is taken', () => {
  assert.notEqual(loadHttpParser(), null);
  assert.ok(passesTrial(HTTPParser));
});

test('a parser that is lenient is not taken', () => {
  class Lenient extends HTTPParser {
    override initialize(kind: number, resource: object, headBytesMax: number): void {
      super.initialize(kind, resource, headBytesMax, HTTPParser.kLenientAll);
    }
  }
  assert.equal(passesTrial(Lenient), false);
});

test('a parser that ignores the limit of a head is not taken', () => {
  class Limitless extends HTTPParser {
    override initialize(kind: number, resource: object): void {
      super.initialize(kind, resource, 1024 * 1024, 0);
    }
  }
  assert.equal(passesTrial(Limitless), false);
});

test('a parser whose callbacks stand elsewhere is not taken', () => {
  class Moved extends HTTPParser {
    static override readonly kOnBody = HTTPParser.kOnHeaders;
    static override readonly kOnHeaders = HTTPParser.kOnBody;
  }
  assert.equal(passesTrial(Moved), false);
});

test('a parser without one of the callbacks is not taken', () => {
  class Silent extends HTTPParser {
    static override readonly kOnExecute = undefined as unknown as number;
  }
  assert.equal(passesTrial(Silent), false);
});

test('a parser that takes no socket over is not taken', () => {
  class Bare extends HTTPParser {}
  Object.defineProperty(Bare.prototype, 'consume', { value: undefined });
  assert.equal(passesTrial(Bare), false);
});
