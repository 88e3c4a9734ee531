/** What a configuration says of how a provider is addressed. */
export type EndpointSettings =
  /** As the protocol of its model says. */
  | { readonly name: 'direct' }
  /** `apiVersion`: of the deployments style, or an optional one of the v1 style; null: none is sent. */
  | { readonly name: 'azure'; readonly style: 'v1' | 'deployments'; readonly apiVersion: string | null }
  /** `claude`: the API that Claude models are asked through at the runtime. */
  | { readonly name: 'bedrock'; readonly service: 'runtime' | 'mantle'; readonly claude: 'invoke' | 'messages' }
  /** Null `project`: an API key stands for project and location. */
  | { readonly name: 'vertex'; readonly project: string | null; readonly location: string };

export const DIRECT: EndpointSettings = { name: 'direct' };
