/**
 * Reads the tree's source for the tidy test. A scanner and not a parser: it only has to know what is code and
 * what is a comment, a string or a regular expression, so that a banned word in a sentence is no offence.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The checkout's root folder. */
export const root = fileURLToPath(new URL('../..', import.meta.url));

export interface SourceFile {
  /** Relative to the root, with forward slashes. */
  readonly path: string;
  readonly text: string;
  /** The text with comments, strings and regular expressions blanked: same length, same lines. */
  readonly code: string;
  /** What it imports: paths relative to the root for own files, the bare name for the rest. */
  readonly imports: readonly string[];
}

const skippedFolders = new Set(['node_modules', 'dist', '.git', '.cache', 'results']);

/** Every file below the folders whose path matches, in order of its path. */
export function listFiles(folders: readonly string[], matches: RegExp): string[] {
  const found: string[] = [];
  const walk = (folder: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) {
        if (!skippedFolders.has(entry.name)) walk(path);
      } else if (matches.test(entry.name)) found.push(relative(root, path).split(sep).join('/'));
    }
  };
  for (const folder of folders) {
    try {
      walk(join(root, folder));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  return found.toSorted();
}

export function readSource(path: string): SourceFile {
  const text = readFileSync(join(root, path), 'utf8');
  const code = blank(text);
  return { path, text, code, imports: importsOf(path, text, code) };
}

/** `path:line` of every match of `pattern` (global) in the file's code. */
export function findInCode(file: SourceFile, pattern: RegExp): string[] {
  return Array.from(file.code.matchAll(pattern), (match) => {
    const line = file.code.slice(0, match.index).split('\n').length;
    return `${file.path}:${line} ${match[0].trim()}`;
  });
}

// In blanked code a string is its quotes with blanks between, so its value is looked up in the text.
const importPattern = /\bfrom\s*(['"])|\bimport\s*\(\s*(['"])|^\s*import\s*(['"])/gm;

function importsOf(path: string, text: string, code: string): string[] {
  const specifiers = Array.from(code.matchAll(importPattern), (match) => {
    const start = match.index + match[0].length;
    return text.slice(start, code.indexOf(match[0].at(-1) ?? "'", start));
  });
  return specifiers.map((name) => (name.startsWith('.') ? join(dirname(path), name).split(sep).join('/') : name));
}

// One alternative per thing that is not code. A slash opens a regular expression where a value may stand: after an
// operator, an opening bracket or a keyword, never after a name, a number or a closing bracket.
const commentPattern = /\/\/[^\n]*|\/\*[^]*?\*\//y;
const stringPattern = /'(?:[^'\\\n]|\\[^])*'|"(?:[^"\\\n]|\\[^])*"/y;
const regExpPattern = /\/(?![*/])(?:[^\\/[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y;
const valueMayStand = /(?:^|[=(,:;!&|?{}[+\-*%~^<>]|\b(?:return|typeof|case|in|of|await|yield|void|throw))\s*$/;

function blank(text: string): string {
  let code = '';
  // Depth of braces inside each open `${`: at its closing brace the template goes on.
  const templates: number[] = [];
  let at = 0;
  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    return pattern.exec(text)?.[0];
  };
  while (at < text.length) {
    const char = text.charAt(at);
    let piece: string | undefined;
    if (char === '/') {
      piece = take(commentPattern) ?? (valueMayStand.test(code.slice(-24)) ? take(regExpPattern) : undefined);
      if (piece) code += blanks(piece);
    } else if (char === "'" || char === '"') {
      piece = take(stringPattern);
      if (piece) code += char + blanks(piece.slice(1, -1)) + char;
    } else if (char === '`' || (char === '}' && templates.at(-1) === 0)) {
      if (char === '}') templates.pop();
      piece = templatePart(text, at);
      if (piece.endsWith('${')) templates.push(0);
      code += char + blanks(piece.slice(1));
    } else if (templates.length > 0 && (char === '{' || char === '}')) {
      templates.push((templates.pop() ?? 0) + (char === '{' ? 1 : -1));
    }
    if (!piece) code += char;
    at += piece?.length ?? 1;
  }
  return code;
}

/** From a backtick, or the brace that ends a `${}`, up to the next `${` or the closing backtick. */
function templatePart(text: string, from: number): string {
  let at = from + 1;
  while (at < text.length) {
    if (text[at] === '\\') at += 1;
    else if (text[at] === '`') return text.slice(from, at + 1);
    else if (text.startsWith('${', at)) return text.slice(from, at + 2);
    at += 1;
  }
  return text.slice(from);
}

function blanks(piece: string): string {
  return piece.replaceAll(/[^\n]/g, ' ');
}
