// Declares the type ConfigInput of the published package with a hover text for every key, from breakwater.schema.json. The compiler infers
// it from the schema of the program, without comments; the types of the values are taken from there.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './setup.mjs';

/** Replaces the declaration in a built `dist`. */
export function documentConfigTypes(dist) {
  const schema = JSON.parse(readFileSync(join(root, 'breakwater.schema.json'), 'utf8'));
  const file = join(dist, 'gateway', 'config', 'schema.d.ts');
  const text = readFileSync(file, 'utf8');
  const declaration = /^export type ConfigInput = /m;
  if (!declaration.test(text)) throw new Error(`${file} does not declare ConfigInput`);
  const documented = `/** The configuration, in a file or for the library. */\nexport type ConfigInput = ${typeOf(schema, schema, 'InferredConfig', '')};\n`;
  writeFileSync(file, `${text.replace(declaration, 'export type InferredConfig = ')}${documented}`);
}

/** The documented type of a schema; `inferred`: the type that the compiler infers for it, which is that of all values. */
function typeOf(schema, node, inferred, indent) {
  const full = node.$ref ? { ...schema.$defs[node.$ref.split('/').at(-1)], ...node } : node;
  const present = `NonNullable<${inferred}>`;
  if (full.properties) {
    const inner = `${indent}  `;
    const required = new Set(full.required);
    const keys = Object.entries(full.properties).map(([key, value]) => {
      const type = typeOf(schema, value, `${present}[${JSON.stringify(key)}]`, inner);
      const optional = required.has(key) ? '' : '?';
      return `${comment(schema, value, inner)}${inner}readonly ${JSON.stringify(key)}${optional}: ${type}${optional && ' | undefined'};\n`;
    });
    return `{\n${keys.join('')}${indent}}`;
  }
  if (full.additionalProperties?.$ref)
    return `{ readonly [name: string]: ${typeOf(schema, full.additionalProperties, `${present}[string]`, indent)} }`;
  return inferred;
}

function comment(schema, node, indent) {
  const description = node.description ?? schema.$defs[node.$ref?.split('/').at(-1)]?.description;
  return description === undefined ? '' : `${indent}/** ${description.replaceAll('*/', '* /')} */\n`;
}
