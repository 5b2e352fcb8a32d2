// Key of the recorded histories. It protects nothing: the recordings hold ids of a conversation that a script made.
export const replayMasterKey = Buffer.alloc(32, 0x2a)
