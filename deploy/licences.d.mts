import type { Component } from './sbom.mjs';

export function licenceOf(component: Pick<Component, 'licenses'>): string;
export function isAllowed(licence: string): boolean;
