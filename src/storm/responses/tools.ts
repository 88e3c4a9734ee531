/** The tools of a request: functions and custom tools, at the top level, in a namespace, or added by an input item. */
import { isRecord } from '../../core/json.ts';
import type { Failure } from '../dialect.ts';
import type { Fields } from '../request.ts';
import type { Item } from './store.ts';

/** A tool that the model can call. */
export interface CallableTool {
  readonly name: string;
  readonly isCustom: boolean;
  readonly parameters: unknown;
  readonly namespace?: string;
}

/** A custom tool takes text instead of JSON. */
const TEXT = { type: 'string' };

/** Parses the tools; hosted tools are ignored, because Storm runs none. */
export function readTools(fields: Fields, input: readonly Item[]): CallableTool[] | Failure {
  const added = input.flatMap((item) => (item['type'] === 'additional_tools' && Array.isArray(item['tools']) ? item['tools'] : []));
  const given: unknown[] = [...(Array.isArray(fields['tools']) ? fields['tools'] : []), ...added];
  for (const [index, tool] of given.entries()) {
    if (!isRecord(tool) || tool['type'] !== 'function' || typeof tool['name'] === 'string') continue;
    const param = `tools[${index}].name`;
    return { reason: 'invalid', param, code: 'missing_required_parameter', message: `Missing required parameter: '${param}'.` };
  }
  return given.flatMap((tool) => callable(tool));
}

function callable(tool: unknown, namespace?: string): CallableTool[] {
  if (!isRecord(tool) || typeof tool['name'] !== 'string') return [];
  const { type, name, parameters } = tool;
  if (type === 'namespace' && Array.isArray(tool['tools'])) return tool['tools'].flatMap((inner) => callable(inner, name));
  if (type !== 'function' && type !== 'custom') return [];
  const isCustom = type === 'custom';
  return [{ name, isCustom, parameters: isCustom ? TEXT : parameters, ...(namespace === undefined ? {} : { namespace }) }];
}

/** The tool to call: the named one, or the first if any is required. */
export function chosenTool({ tool_choice: choice }: Fields, tools: readonly CallableTool[]): CallableTool | undefined {
  if (choice === 'required') return tools[0];
  if (!isRecord(choice)) return undefined;
  if (choice['type'] === 'function' || choice['type'] === 'custom') return tools.find(({ name }) => name === choice['name']);
  if (choice['type'] !== 'allowed_tools' || choice['mode'] !== 'required' || !Array.isArray(choice['tools'])) return undefined;
  const names = new Set(choice['tools'].map((tool) => (isRecord(tool) ? tool['name'] : undefined)));
  return tools.find(({ name }) => names.has(name));
}
