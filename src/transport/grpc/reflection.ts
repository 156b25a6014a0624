import type { Server } from '@grpc/grpc-js';
import type { PackageDefinition } from '@grpc/proto-loader';
import { ReflectionService } from '@grpc/reflection';
import { DESCRIPTOR_SET_BASE64 } from '../../gen/descriptor-set.js';
import { WireReader } from './wire.js';

/** The names of the reflection services, for health. */
export const REFLECTION_SERVICES = [
  'grpc.reflection.v1.ServerReflection',
  'grpc.reflection.v1alpha.ServerReflection',
] as const;

/**
 * Adds server reflection, v1 and v1alpha, over the named services and reflection itself, so that generic clients
 * (grpcurl, Postman) need no file.
 */
export function addReflection(server: Server, serviceNames: readonly string[]): void {
  // The library looks at nothing else of a package. Its own loader is passed by, because it rebuilds the descriptors
  // from parsed text and loses what strict clients need (names of map entries, files of imported types).
  const files = { fileDescriptorProtos: descriptorFiles() } as unknown as PackageDefinition[string];
  const services = [...serviceNames, ...REFLECTION_SERVICES];
  new ReflectionService({ files }, { services }).addToServer(server);
}

/** The encoded `FileDescriptorProto` of each file in the set: the set's only field, once for each. */
function descriptorFiles(): Buffer[] {
  const set = Buffer.from(DESCRIPTOR_SET_BASE64, 'base64');
  const files: Buffer[] = [];
  const reader = new WireReader();
  reader.reset(set);
  while (reader.position < set.length) {
    reader.tag();
    const end = reader.endOfField();
    files.push(set.subarray(reader.position, end));
    reader.position = end;
  }
  return files;
}
