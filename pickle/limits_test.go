package pickle

import (
	"reflect"
	"testing"
)

func TestEveryLimitHasADefault(t *testing.T) {
	v := reflect.ValueOf(Limits{}.withDefaults())
	for i := range v.NumField() {
		if name := v.Type().Field(i).Name; v.Field(i).Int() <= 0 && name != "Memory" && name != "file" {
			t.Errorf("%s = %d by default, want more than 0", name, v.Field(i).Int())
		}
	}
}

func TestLimitsThatAreSetAreKept(t *testing.T) {
	l := Limits{Pickle: 10, Long: 20, Memory: 30}
	if got := l.withDefaults().forFile(1 << 40); got.Pickle != 10 || got.Long != 20 || got.memory(1<<20) != 30 {
		t.Errorf("withDefaults and forFile change %+v to %+v", l, got)
	}
	if got := (Limits{Pickle: 1 << 40, Long: 1 << 20}).withDefaults(); got.Pickle != maxPickle || got.Long != 255 {
		t.Errorf("limits beyond what the audit can hold stay %d and %d, want %d and 255", got.Pickle, got.Long, maxPickle)
	}
}

func TestMemoryGrowsWithTheFileAndThePickle(t *testing.T) {
	if got, want := (Limits{}).memory(1000), int64(baseMemory+1000+1000*memoryPerByte); got != want {
		t.Errorf("a pickle alone may take %d bytes, want %d", got, want)
	}
	if got, want := (Limits{}).forFile(1<<30).memory(1000), int64(baseMemory+1<<30+1000*memoryPerByte); got != want {
		t.Errorf("a pickle in a gigabyte may take %d bytes, want %d", got, want)
	}
}
