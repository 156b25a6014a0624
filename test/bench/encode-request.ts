import { AuthorizeBatchRequest, AuthorizeRequest } from '../../src/gen/latchkey/v1/authorization_service.js';

/** An `AuthorizeRequest` on the wire. */
export function encodeRequest(key: string, workflowId: string, method: string): Buffer {
  return Buffer.from(AuthorizeRequest.encode({ key, workflowId, method }).finish());
}

/** An `AuthorizeBatchRequest` of encoded requests on the wire. */
export function encodeBatchRequest(requests: readonly Buffer[]): Buffer {
  const decoded = requests.map((request) => AuthorizeRequest.decode(request));
  return Buffer.from(AuthorizeBatchRequest.encode({ requests: decoded }).finish());
}
