/** Parses content blocks of a Messages request into parts. */
import { isRecord } from '../../core/json.ts';
import { recordsIn, textIn, textOrNull } from '../loose-values.ts';
import type { Fields } from '../loose-values.ts';
import type { MediaSource, RequestPart } from '../model.ts';

const DIALECT = 'anthropic-messages';

export class BlockReader {
  /** Members of blocks that no other dialect supports. */
  readonly lost = new Set<string>();
  /** Block types that can't be dropped without changing the conversation. */
  readonly essential = new Set<string>();
  readonly #toolNames = new Map<string, string>();

  /** `content`: a string or a list of blocks. */
  readContent(content: unknown): RequestPart[] {
    if (typeof content === 'string') return content === '' ? [] : [{ type: 'text', text: content }];
    return recordsIn(content).flatMap((block) => this.#read(block));
  }

  #read(block: Fields): RequestPart[] {
    if (isRecord(block['cache_control'])) this.lost.add('cache_control');
    if (hasCitations(block['citations'])) this.lost.add('messages.citations');
    switch (block['type']) {
      case 'text':
        return textIn(block['text']) === '' ? [] : [{ type: 'text', text: textIn(block['text']) }];
      case 'image':
        return [{ type: 'image', source: sourceOf(block['source']), detail: null }];
      case 'document':
        return this.#document(block);
      case 'search_result':
        return this.#searchResult(block);
      case 'thinking':
        return [{ type: 'reasoning', text: textIn(block['thinking']), opaque: opaqueOf(block['signature']) }];
      case 'redacted_thinking':
        return [{ type: 'reasoning', text: '', opaque: opaqueOf(block['data']) }];
      case 'tool_use':
        return [this.#toolUse(block)];
      case 'tool_result':
        return [this.#toolResult(block)];
      case 'compaction':
        return this.#compaction(block);
      case 'container_upload':
        this.essential.add('container_upload');
        return [];
      default:
        return [{ type: 'foreign', name: textOrNull(block['type']) ?? 'content' }];
    }
  }

  /** Replaces the conversation before it: a readable summary, or encrypted text that only its provider can read. */
  #compaction({ content }: Fields): RequestPart[] {
    if (textIn(content) !== '') return [{ type: 'text', text: textIn(content) }];
    this.essential.add('compaction');
    return [];
  }

  #toolUse(block: Fields): RequestPart {
    const id = textIn(block['id']);
    const name = textIn(block['name']);
    this.#toolNames.set(id, name);
    return { type: 'tool_call', id, name, kind: 'function', arguments: JSON.stringify(block['input'] ?? {}), opaque: null };
  }

  #toolResult(block: Fields): RequestPart {
    const callId = textIn(block['tool_use_id']);
    const parts = this.readContent(block['content']);
    return { type: 'tool_result', callId, name: this.#toolNames.get(callId) ?? null, parts, isError: block['is_error'] === true };
  }

  /** A text document becomes text, preceded by its title and context; a file keeps its name. */
  #document({ source, title, context }: Fields): RequestPart[] {
    const fields = isRecord(source) ? source : {};
    if (fields['type'] === 'text') return [...headOf(title, context), { type: 'text', text: textIn(fields['data']) }];
    if (fields['type'] === 'content') return [...headOf(title, context), ...this.readContent(fields['content'])];
    return [...headOf(context), { type: 'file', source: sourceOf(source), name: textOrNull(title) }];
  }

  #searchResult(block: Fields): RequestPart[] {
    return [...headOf(block['title'], block['source']), ...this.readContent(block['content'])];
  }
}

/** The lines that precede a document. */
function headOf(...lines: readonly unknown[]): RequestPart[] {
  const text = lines
    .map(textIn)
    .filter((line) => line !== '')
    .join('\n');
  return text === '' ? [] : [{ type: 'text', text }];
}

/** For a document: whether citations are enabled; for a text block: whether it has any. */
function hasCitations(citations: unknown): boolean {
  return Array.isArray(citations) ? citations.length > 0 : isRecord(citations) && citations['enabled'] === true;
}

function sourceOf(source: unknown): MediaSource {
  const fields = isRecord(source) ? source : {};
  if (fields['type'] === 'url') return { kind: 'url', url: textIn(fields['url']), mime: textOrNull(fields['media_type']) };
  if (fields['type'] === 'file') return { kind: 'file_id', id: textIn(fields['file_id']) };
  return { kind: 'data', mime: textOrNull(fields['media_type']) ?? 'application/octet-stream', base64: textIn(fields['data']) };
}

function opaqueOf(value: unknown): { readonly dialect: typeof DIALECT; readonly value: string } | null {
  const text = textOrNull(value);
  return text === null ? null : { dialect: DIALECT, value: text };
}
