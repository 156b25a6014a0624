import { type MethodCatalogue, parseCatalogue } from './method-catalogue.js';
import methods from './methods.json' with { type: 'json' };

/** The catalogue that ships with the program: the methods of the platform's SDKs and their wire events. */
export function defaultCatalogue(): MethodCatalogue {
  // Back to text, so that the shipped table passes exactly the checks that an operator's file passes.
  return parseCatalogue(JSON.stringify(methods, null, 2), 'methods.json');
}
