package pickle_test

import (
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/smelt-project/smelt/pickle"
)

func ExampleRead() {
	f, err := os.Open("testdata/torch/2.11/views.pt")
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		log.Fatal(err)
	}
	m, err := pickle.Read(f, info.Size(), f.Name(), pickle.Options{})
	if errors.Is(err, pickle.ErrDangerous) {
		log.Fatal("do not load this file with Python: ", err)
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(m.Format)
	for _, t := range m.Tensors()[:4] {
		fmt.Printf("%s %v %v %q\n", t.Name, t.DType, t.Shape, t.Origin.Note)
	}
	// Output:
	// PyTorch zip
	// base f32 [6 8] ""
	// rows f32 [3 8] "uses 96 bytes of a storage of 192"
	// columns f32 [6 5] "uses 120 bytes of a storage of 192; strided view"
	// every_second f32 [3 3] "uses 36 bytes of a storage of 192; strided view"
}
