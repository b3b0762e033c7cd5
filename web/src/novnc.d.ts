// The part of noVNC's RFB that the viewer uses (its API.md); the package has no types of its own.
declare module '@novnc/novnc' {
  export default class RFB extends EventTarget {
    constructor(target: HTMLElement, url: string, options?: { wsProtocols?: string[]; shared?: boolean });
    viewOnly: boolean;
    focusOnClick: boolean;
    scaleViewport: boolean;
    background: string;
    qualityLevel: number;
    compressionLevel: number;
    disconnect(): void;
  }
}
