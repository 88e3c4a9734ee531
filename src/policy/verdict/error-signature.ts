import type { Failure } from '../../core/facts.ts';

const TEXT_LENGTH_MAX = 160;

/**
 * What an error has in common with others of its kind: status, code, type, field, and its text without quoted parts and numbers, which vary
 * between requests. At most a few hundred characters, without any quoted text.
 */
export function errorSignature(failure: Failure): string {
  const { kind, status, code, type, param, message } = failure;
  return [kind, status ?? '', code ?? '', type ?? '', place(param ?? ''), general(message)].join('|');
}

/** The field without list indices. */
function place(param: string): string {
  return param.replaceAll(/(?<=[.[])\d+/g, '#').slice(0, TEXT_LENGTH_MAX);
}

function general(text: string): string {
  return text
    .replaceAll(/(?<![\p{L}\p{N}])(["'`])[^"'`]*\1|“[^”]*”|‘[^’]*’|«[^»]*»/gu, '…')
    .replaceAll(/[\w-]*\d[\w-]*/g, '#')
    .slice(0, TEXT_LENGTH_MAX);
}
