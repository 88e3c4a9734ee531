/** The configuration of a provider's endpoint. */
export type EndpointSettings =
  /** Determined by the protocol of the model. */
  | { readonly name: 'direct' }
  /** `apiVersion`: required by the deployments style, optional in the v1 style; null: none is sent. */
  | { readonly name: 'azure'; readonly style: 'v1' | 'deployments'; readonly apiVersion: string | null }
  /** `claude`: the API used for Claude models at the runtime. */
  | { readonly name: 'bedrock'; readonly service: 'runtime' | 'mantle'; readonly claude: 'invoke' | 'messages' }
  /** Null `project`: an API key determines project and location. */
  | { readonly name: 'vertex'; readonly project: string | null; readonly location: string };

export const DIRECT: EndpointSettings = { name: 'direct' };
