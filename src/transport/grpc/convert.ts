import { Permission, type PermissionBit, type PermissionSet } from '../../domain/permissions.js';
import { Permission as ProtoPermission } from '../../gen/latchkey/v1/decision.js';

/** The wire's number of a permission. */
export function permissionToProto(bit: PermissionBit): ProtoPermission {
  switch (bit) {
    case Permission.READ:
      return ProtoPermission.READ;
    case Permission.EXECUTE:
      return ProtoPermission.EXECUTE;
    case Permission.WRITE:
      return ProtoPermission.WRITE;
    default:
      return bit satisfies never;
  }
}

/** The permission behind the wire's number, or `null` when it is none that this version knows. */
export function permissionFromProto(value: ProtoPermission): PermissionBit | null {
  switch (value) {
    case ProtoPermission.READ:
      return Permission.READ;
    case ProtoPermission.EXECUTE:
      return Permission.EXECUTE;
    case ProtoPermission.WRITE:
      return Permission.WRITE;
    default:
      return null;
  }
}

/** Collects the wire's permissions into a set; `null` when one of them is not known or unspecified. */
export function permissionSetFromProto(values: readonly ProtoPermission[]): PermissionSet | null {
  let set: PermissionSet = 0;
  for (const value of values) {
    const bit = permissionFromProto(value);
    if (bit === null) return null;
    set |= bit;
  }
  return set;
}
