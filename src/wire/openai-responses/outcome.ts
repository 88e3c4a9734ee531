/** How a response object ended. */
import { isRecord } from '../../core/json.ts';
import { isCutArguments } from '../cut-arguments.ts';
import { recordsIn, textIn } from '../loose-values.ts';
import type { Fields } from '../loose-values.ts';
import type { FinishClass } from '../model.ts';

/** The error of a failed response, for `failureFromErrorValue`; null if it did not fail. */
export function errorOf({ status, error }: Fields): Fields | null {
  if (isRecord(error)) return error;
  if (status === 'failed' || status === 'cancelled')
    return { message: `the provider ended the response as ${status}`, code: 'server_error' };
  return null;
}

/** Null while the response is unfinished. */
export function finishOf(response: Fields): FinishClass | null {
  const { status, incomplete_details: details } = response;
  if (status === 'queued' || status === 'in_progress') return null;
  if (status !== 'incomplete') return recordsIn(response['output']).some(isCall) ? 'tool_calls' : 'stop';
  const reason = isRecord(details) ? textIn(details['reason']) : '';
  if (reason === 'max_output_tokens') return 'length';
  return reason === 'content_filter' ? 'content_filter' : 'other';
}

function isCall({ type }: Fields): boolean {
  return type === 'function_call' || type === 'custom_tool_call';
}

/** True if a limit or a filter did not end the response, but the arguments of a call were cut off. */
export function holdsCutCall(output: readonly Fields[], finish: FinishClass | null): boolean {
  if (finish === null || finish === 'length' || finish === 'content_filter') return false;
  return output.some((item) => item['type'] === 'function_call' && isCutArguments(textIn(item['arguments'])));
}

export function isReasoning({ type }: Fields): boolean {
  return type === 'reasoning';
}

/** True for an item with text, a call or media. */
export function itemHasContent(item: Fields): boolean {
  switch (item['type']) {
    case 'message':
      return recordsIn(item['content']).some((part) => textIn(part['text']) !== '' || textIn(part['refusal']) !== '' || isMedia(part));
    case 'reasoning':
      return textIn(item['encrypted_content']) !== '' || [...recordsIn(item['summary']), ...recordsIn(item['content'])].length > 0;
    default:
      return true;
  }
}

function isMedia({ type }: Fields): boolean {
  return type !== 'output_text' && type !== 'text' && type !== 'refusal';
}
