package quantize

import "encoding/binary"

// putCrumbs packs 256 levels of two bits into 64 bytes: byte j of each half
// holds the levels j, j+32, j+64 and j+96 of its 128, lowest bits first.
func putCrumbs(b []byte, q *[superBlock]uint8) {
	for half := range 2 {
		b, q := b[32*half:32*half+32], q[128*half:128*half+128]
		for j := 0; j < 32; j += 8 {
			binary.LittleEndian.PutUint64(b[j:], eight(q[j:])|eight(q[j+32:])<<2&^low2|eight(q[j+64:])<<4&high4|eight(q[j+96:])<<6&(low2<<6))
		}
	}
}

// crumbs adds the levels that putCrumbs stored to q.
func crumbs(q *[superBlock]uint8, b []byte) {
	for half := range 2 {
		b, q := b[32*half:32*half+32], q[128*half:128*half+128]
		for j := 0; j < 32; j += 8 {
			v := eight(b[j:])
			for k := range 4 {
				at := q[32*k+j:]
				binary.LittleEndian.PutUint64(at, eight(at)|v>>(2*k)&low2)
			}
		}
	}
}

// putNibbles packs 256 levels of four or five bits, in steps of 64: byte j holds
// the lower four bits of level j and, above them, of j+32. The fifth bits come
// before, level 32·k+j in bit k of byte j. The length of b, 128 or 160, says
// whether there are any.
func putNibbles(b []byte, q *[superBlock]uint8) {
	if len(b) == 160 {
		putBitPlane(b[:32], q, 4)
		b = b[32:]
	}
	for j := 0; j < 128; j += 8 {
		q := q[j/32*64+j%32:]
		binary.LittleEndian.PutUint64(b[j:], eight(q)&low4|eight(q[32:])<<4&high4)
	}
}

// putBitPlane stores bit n of 256 levels: that of level 32·k+j in bit k of byte j.
func putBitPlane(b []byte, q *[superBlock]uint8, n int) {
	for j := 0; j < 32; j += 8 {
		var v uint64
		for k := range 8 {
			v |= eight(q[32*k+j:]) >> n & low1 << k
		}
		binary.LittleEndian.PutUint64(b[j:], v)
	}
}

// eight returns eight levels as one word, to pack them at once; the masks are
// for the bits of each.
func eight(q []uint8) uint64 { return binary.LittleEndian.Uint64(q) }

const (
	low1  = 0x0101010101010101
	low2  = 0x0303030303030303
	low4  = 0x0f0f0f0f0f0f0f0f
	high4 = 0xf0f0f0f0f0f0f0f0
)

// nibbles undoes putNibbles.
func nibbles(q *[superBlock]uint8, b []byte) {
	if len(b) == 160 {
		bitPlane(q, b[:32], 4)
		b = b[32:]
	} else {
		clear(q[:])
	}
	for j := 0; j < 128; j += 8 {
		q, v := q[j/32*64+j%32:], eight(b[j:])
		binary.LittleEndian.PutUint64(q, eight(q)|v&low4)
		binary.LittleEndian.PutUint64(q[32:], eight(q[32:])|v>>4&low4)
	}
}

// bitPlane sets q to the bits that putBitPlane stored, as bit n.
func bitPlane(q *[superBlock]uint8, b []byte, n int) {
	for j := 0; j < 32; j += 8 {
		v := eight(b[j:])
		for k := range 8 {
			binary.LittleEndian.PutUint64(q[32*k+j:], v>>k&low1<<n)
		}
	}
}

// putLevels packs 32 levels of four or five bits: byte j holds the lower four
// bits of level j and, above them, of j+16. The fifth bits come before, as 32
// bits. The length of b, 16 or 20, says whether there are any.
func putLevels(b []byte, q *[32]uint8) {
	if len(b) == 20 {
		var high uint32
		for i, v := range q {
			high |= uint32(v>>4&1) << i
		}
		binary.LittleEndian.PutUint32(b, high)
		b = b[4:]
	}
	for j := 0; j < 16; j += 8 {
		binary.LittleEndian.PutUint64(b[j:], eight(q[j:])&low4|eight(q[j+16:])<<4&high4)
	}
}

// levels undoes putLevels.
func levels(q *[32]uint8, b []byte) {
	var high uint32
	if len(b) == 20 {
		high = binary.LittleEndian.Uint32(b)
		b = b[4:]
	}
	for j := 0; j < 16; j += 8 {
		v := eight(b[j:])
		binary.LittleEndian.PutUint64(q[j:], v&low4|spreadBits(uint8(high>>j))<<4)
		binary.LittleEndian.PutUint64(q[j+16:], v>>4&low4|spreadBits(uint8(high>>(j+16)))<<4)
	}
}

// spreadBits returns bit k of b as byte k.
func spreadBits(b uint8) uint64 {
	const diagonal = 0x8040201008040201
	return (uint64(b)*low1&diagonal + 0x7f*low1) >> 7 & low1
}

// putPairs packs levels of two bits, four to a byte, lowest bits first.
func putPairs(b []byte, q []uint8) {
	for i := 0; i < len(q); i += 8 {
		v := eight(q[i:]) & low2
		v = (v | v>>6) & 0x000f000f000f000f
		v = (v | v>>12) & 0x000000ff000000ff
		binary.LittleEndian.PutUint16(b[i/4:], uint16(v|v>>24))
	}
}

// pairs undoes putPairs.
func pairs(q []uint8, b []byte) {
	for i := 0; i < len(q); i += 8 {
		v := uint64(binary.LittleEndian.Uint16(b[i/4:]))
		v = (v | v<<24) & 0x000000ff000000ff
		v = (v | v<<12) & 0x000f000f000f000f
		binary.LittleEndian.PutUint64(q[i:], (v|v<<6)&low2)
	}
}
