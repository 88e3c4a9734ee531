/** Calls to the admin API. The admin key is held only in this module's memory. */

let adminKey: string | null = null;

export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export function setAdminKey(key: string | null): void {
  adminKey = key;
}

export function hasAdminKey(): boolean {
  return adminKey !== null;
}

/** Rejects with an ApiError if the gateway refuses. */
export async function ask(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  if (adminKey !== null) headers.set('authorization', `Bearer ${adminKey}`);
  const response = await fetch(path, { ...init, headers, cache: 'no-store', credentials: 'omit' });
  if (response.ok) return response;
  throw new ApiError(response.status, await messageOf(response));
}

async function messageOf(response: Response): Promise<string> {
  const text = await response.text().catch(() => '');
  try {
    return (JSON.parse(text) as { error: { message: string } }).error.message;
  } catch {
    return `the gateway responded with status ${response.status}`;
  }
}

export async function askJson<T>(path: string, signal?: AbortSignal): Promise<T> {
  const response = await ask(path, signal === undefined ? {} : { signal });
  return (await response.json()) as T;
}

export async function changeTarget(target: string, change: 'isolate' | 'reset'): Promise<void> {
  await ask(`/admin/targets/${encodeURIComponent(target)}/${change}`, { method: 'POST' });
}
