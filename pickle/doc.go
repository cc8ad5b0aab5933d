// Package pickle reads PyTorch checkpoints (.pt .pth .bin .ckpt .pkl) without
// Python and without executing anything, and tells what a pickle would import
// and call if Python loaded it.
//
// A pickle is a program for a small stack machine (Lib/pickletools.py in
// CPython describes every instruction). Three layers keep it harmless:
//
//   - Sniff and the zip reader accept a container only if every reader of that
//     container would see the same members in it.
//   - The audit walks the instructions of a pickle once, before anything is
//     built from it. It compares every operand with the bytes that remain,
//     follows the stack and the memo far enough to name every global, and
//     refuses what is malformed or would cost more memory or time than Limits
//     allow.
//   - Only then does a virtual machine run the pickle, in a spelling with which
//     it asks this package for every class. A global names a builder of this
//     package or becomes an inert object; nothing is looked up or called by name.
//
// Scan reports the audit of every pickle in a file, an archive or a folder.
package pickle
