/**
 * Writes a neutral request as a Converse request. Converse has the structure of Messages under other names, so the request is first written
 * as a Messages request, whose members are then renamed.
 */
import { Buffer } from 'node:buffer';
import { isRecord } from '../../core/json.ts';
import { writeMessagesRequest } from '../anthropic-messages/write-request.ts';
import { conversionFault } from '../conversion-loss.ts';
import type { ConversionFault, TargetCapabilities, WriteEdits } from '../conversion-loss.ts';
import { recordsIn, textIn } from '../loose-values.ts';
import type { Fields } from '../loose-values.ts';
import type { Encoded, ModelRequest } from '../model.ts';

export function writeConverseRequest(request: ModelRequest, edits: WriteEdits, can: TargetCapabilities): Encoded {
  const writer = new ConverseWriter(request.outputBound === null);
  const apply = (fields: Fields): Fields => edits.apply(writer.write(fields));
  const encoded = writeMessagesRequest(unsigned(request), { ...edits, apply }, can);
  if (!encoded.ok) return encoded;
  if (writer.fault !== null) return { ok: false, ...writer.fault };
  return { ...encoded, dropped: [...new Set([...encoded.dropped, ...writer.dropped])] };
}

/** Removes reasoning of earlier turns: signatures are valid for one account only. */
function unsigned(request: ModelRequest): ModelRequest {
  const turns = request.turns.map((turn) => ({
    ...turn,
    parts: turn.parts.map((part) => (part.type === 'reasoning' ? { ...part, opaque: null } : part)),
  }));
  return { ...request, turns };
}

class ConverseWriter {
  fault: ConversionFault | null = null;
  readonly dropped: string[] = [];
  /** The caller set no output limit; the model's own applies. */
  readonly #isUnbounded: boolean;
  #documents = 0;

  constructor(isUnbounded: boolean) {
    this.#isUnbounded = isUnbounded;
  }

  write(fields: Fields): Fields {
    const messages = recordsIn(fields['messages']).map(({ role, content }) => ({ role, content: this.#blocks(content) }));
    const body: Fields = { messages };
    const system = this.#blocks(fields['system']);
    if (system.length > 0) body['system'] = system;
    const config = this.#inference(fields);
    if (Object.keys(config).length > 0) body['inferenceConfig'] = config;
    const tools = this.#tools(fields);
    if (tools !== null) body['toolConfig'] = tools;
    const more: Fields = {};
    for (const name of ['thinking', 'output_config', 'top_k']) if (fields[name] !== undefined) more[name] = fields[name];
    if (Object.keys(more).length > 0) body['additionalModelRequestFields'] = more;
    if (fields['metadata'] !== undefined) this.dropped.push('user');
    return body;
  }

  #inference(fields: Fields): Fields {
    const config: Fields = {};
    const put = (name: string, value: unknown): void => {
      if (value !== undefined) config[name] = value;
    };
    // A thinking budget must be below the output limit.
    put('maxTokens', this.#isUnbounded && fields['thinking'] === undefined ? undefined : fields['max_tokens']);
    put('temperature', fields['temperature']);
    put('topP', fields['top_p']);
    put('stopSequences', fields['stop_sequences']);
    return config;
  }

  #blocks(content: unknown): Fields[] {
    return recordsIn(content).flatMap((block) => this.#block(block));
  }

  #block(block: Fields): Fields[] {
    switch (block['type']) {
      case 'text':
        return [{ text: block['text'] }];
      case 'image':
        return this.#image(block['source']);
      case 'document':
        return this.#document(block);
      case 'tool_use':
        return [{ toolUse: { toolUseId: block['id'], name: block['name'], input: block['input'] } }];
      case 'tool_result': {
        const content = this.#blocks(block['content']);
        const result = { toolUseId: block['tool_use_id'], content: content.length === 0 ? [{ json: {} }] : content };
        return [{ toolResult: block['is_error'] === true ? { ...result, status: 'error' } : result }];
      }
      default:
        return [];
    }
  }

  /** Accepts inline data only; the API does not fetch URLs. */
  #image(source: unknown): Fields[] {
    const { type, media_type: mime, data } = isRecord(source) ? source : {};
    if (type !== 'base64') return this.#refuse('image');
    return [{ image: { format: textIn(mime).replace(/^image\//, ''), source: { bytes: data } } }];
  }

  /** The API requires a distinct name of a restricted character set. */
  #document({ source, title }: Fields): Fields[] {
    const { type, data } = isRecord(source) ? source : {};
    if (type !== 'base64' && type !== 'text') return this.#refuse('file');
    const written = textIn(title)
      .replaceAll(/[^A-Za-z0-9()[\]-]+/g, ' ')
      .trim()
      .slice(0, 100);
    const name = `${written === '' ? 'document' : written} ${++this.#documents}`;
    const bytes = type === 'text' ? Buffer.from(textIn(data)).toString('base64') : data;
    return [{ document: { format: type === 'text' ? 'txt' : 'pdf', name, source: { bytes } } }];
  }

  #refuse(what: string): Fields[] {
    this.fault ??= conversionFault(`messages.${what}`);
    return [];
  }

  /** A conversation with tool calls requires tools, even if the request offers none. */
  #tools(fields: Fields): Fields | null {
    const called = new Set(
      recordsIn(fields['messages']).flatMap(({ content }) =>
        recordsIn(content).flatMap(({ type, name }) => (type === 'tool_use' ? [textIn(name)] : [])),
      ),
    );
    const choice = isRecord(fields['tool_choice']) ? fields['tool_choice'] : {};
    const isForbidden = choice['type'] === 'none';
    if (isForbidden && called.size === 0) return null;
    const offered = recordsIn(fields['tools']).map(({ name, description, input_schema: json }) => ({
      toolSpec: { name, ...(description !== undefined && { description }), inputSchema: { json } },
    }));
    const missing =
      offered.length > 0 ? [] : [...called].map((name) => ({ toolSpec: { name, inputSchema: { json: { type: 'object' } } } }));
    const tools: Fields[] = [...offered, ...missing];
    if (tools.length === 0) return null;
    if (choice['disable_parallel_tool_use'] === true) this.dropped.push('parallel_tool_calls');
    if (isForbidden) this.dropped.push('tool_choice');
    const toolChoice = choiceOf(choice);
    return toolChoice === null ? { tools } : { tools, toolChoice };
  }
}

/** Null means the model chooses. */
function choiceOf({ type, name }: Fields): Fields | null {
  if (type === 'any') return { any: {} };
  return type === 'tool' ? { tool: { name } } : null;
}
