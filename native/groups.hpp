// Displacements that are visited together, and the memory that their tiles lie in.
#pragma once

constexpr int group_size = 4;  // at most

// Successive displacements along a row, whose pixels are visited together.
struct Group {
    int number = 0;                       // among all groups
    int size = 0, first = 0, extent = 0;  // all their pixels lie in first .. first+extent
    Run runs[group_size];

    // How far the first pixel of a run is from that of the group: less than `group_size`.
    int offset(int member) const { return runs[member].query - first; }
    // How many from one on, 1 or 2, draw from the same positions, for pixels side by side.
    int alike(int member) const {
        const Run &one = runs[member], &next = runs[std::min(member + 1, group_size - 1)];
        const bool both = member % 2 == 0 && member + 1 < size && next.query == one.query + 1 &&
                          next.source == one.source && next.length == one.length;
        return both ? 2 : 1;
    }
};

// Whether a run is a neighbour of those of a group of at most `most`: one line of the tile, `group_size`
// longer than a run, must hold the pixels of all, and they pass the end of a row of `width` pixels once.
inline bool joins(const Group& group, const Run& run, int most, int width) {
    const Run& leader = group.runs[0];
    // The run without displacement may be longer than its neighbours; it stays alone.
    return group.size < most && run.query >= leader.query && run.query < leader.query + most &&
           run.length <= leader.length && run.length + most > leader.length &&
           group.first % width + run.query - group.first + run.length <= 2 * width;
}

// A place modulo the size of its axis; seldom a division.
inline int around(int place, int size) { return place < size ? place : place % size; }

// Columns of the pixels at the places of a line, which passes the end of a row at most once.
struct Columns {
    int first, extent, width;
    Columns(const Group& group, int width)
        : first(group.first % width), extent(group.extent), width(width) {}
    int operator[](int x) const { return first + x < width ? first + x : first + x - width; }
};

inline std::vector<Group> grouped(const std::vector<Run>& runs, int most, int width) {
    std::vector<Group> groups;
    for (const Run& run : runs) {
        if (groups.empty() || !joins(groups.back(), run, most, width)) groups.emplace_back();
        Group& group = groups.back();
        if (group.size == 0) {
            group.number = int(groups.size()) - 1;
            group.first = run.query;
        }
        group.extent = std::max(group.extent, run.query - group.first + run.length);
        group.runs[group.size++] = run;
    }
    return groups;
}

// Whether every image is met at so few displacements that laying it out is what costs.
template <class T> bool few_displacements(const Question<T>& question) {
    return question.rows.size() * question.columns.size() < 4;
}

// Memory aligned for vectors, without values at first.
template <class T> class Buffer {
  public:
    explicit Buffer(std::size_t count)
        : data_(static_cast<T*>(::operator new(count * sizeof(T) + 64, std::align_val_t(64)))),
          count_(count) {}
    ~Buffer() { ::operator delete(data_, std::align_val_t(64)); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    T* get() { return data_; }
    const T* get() const { return data_; }
    void fill(T value) { std::fill(data_, data_ + count_, value); }

  private:
    T* data_;
    std::size_t count_;
};
