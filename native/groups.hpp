// Displacements that are visited together, and the memory that their tiles lie in.
#pragma once

constexpr int group_size = 2;

// Successive displacements along a row, whose pixels are visited together.
struct Group {
    int number = 0;                       // among all groups
    int size = 0, first = 0, extent = 0;  // all their pixels lie in first .. first+extent
    Run runs[group_size];

    // How far the first pixel of a run is from that of the group: less than `group_size`.
    int offset(int member) const { return runs[member].query - first; }
    bool alike = false;  // whether two draw from the same positions, for pixels side by side
};

// Whether a run is a neighbour of those of a group: one line of the tile, `group_size` longer than
// a run, must hold the pixels of all.
inline bool joins(const Group& group, const Run& run) {
    const Run& leader = group.runs[0];
    // The run without displacement may be longer than its neighbours; it stays alone.
    return group.size < group_size && run.query >= leader.query &&
           run.query < leader.query + group_size && run.length <= leader.length &&
           run.length + group_size > leader.length;
}

// A place modulo the size of its axis; seldom a division.
inline int around(int place, int size) { return place < size ? place : place % size; }

// Columns of the pixels at the places of a line.
struct Columns {
    int first, extent, width;
    Columns(const Group& group, int width)
        : first(group.first % width), extent(group.extent), width(width) {}
    int operator[](int x) const { return first + x < width ? first + x : first + x - width; }
};

inline std::vector<Group> grouped(const std::vector<Run>& runs) {
    std::vector<Group> groups;
    for (const Run& run : runs) {
        if (groups.empty() || !joins(groups.back(), run)) groups.emplace_back();
        Group& group = groups.back();
        if (group.size == 0) {
            group.number = int(groups.size()) - 1;
            group.first = run.query;
        }
        group.extent = std::max(group.extent, run.query - group.first + run.length);
        const Run& leader = group.runs[0];
        group.alike = group.size == 1 && run.query == leader.query + 1 && run.source == leader.source &&
                      run.length == leader.length;
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
